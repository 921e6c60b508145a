package rules

import (
	"slices"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
)

// reads is what an expression reads, taken from its checked form.
type reads struct {
	variables map[string]bool
	// summary has the metrics that it names, in order.
	summary []string
}

// pods says that the answer depends on the run's pods.
func (r *reads) pods() bool { return r.variables["pods"] || r.variables["nodes"] }

// misuse is a part of an expression that CEL allows and rules don't.
type misuse struct {
	id      int64
	message string
}

func (m *misuse) Error() string { return m.message }

// readsOf walks a checked expression.
func readsOf(a *ast.AST, nodeAnnotations bool) (*reads, error) {
	w := &walk{ast: a, reads: reads{variables: map[string]bool{}}, named: map[int64]bool{}, nodeAnnotations: nodeAnnotations}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(w.visit))
	if w.wrong != nil {
		return nil, w.wrong
	}
	slices.Sort(w.reads.summary)
	w.reads.summary = slices.Compact(w.reads.summary)
	return &w.reads, nil
}

type walk struct {
	ast   *ast.AST
	reads reads
	// named has the uses of run.summary that name a key.
	named           map[int64]bool
	nodeAnnotations bool
	wrong           *misuse
}

// visit sees an expression before its parts.
func (w *walk) visit(e ast.Expr) {
	switch e.Kind() {
	case ast.IdentKind:
		name := fromParser(e.AsIdent())
		if _, ok := variables[e.AsIdent()]; ok {
			w.reads.variables[name] = true
		}
	case ast.SelectKind:
		w.selected(e)
	case ast.CallKind:
		w.called(e)
	case ast.StructKind:
		w.refuse(e, "rules read objects and can't make them")
	}
}

func (w *walk) selected(e ast.Expr) {
	sel := e.AsSelect()
	if w.isSummary(sel.Operand()) {
		w.name(sel.Operand(), sel.FieldName())
		return
	}
	if w.isSummary(e) && !w.named[e.ID()] {
		w.refuse(e, `name the metric in the expression itself, as in run.summary["loss"] or run.hasSummary("loss"): only metrics that rules name are fetched`)
	}
}

func (w *walk) called(e ast.Expr) {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.Index:
		w.keyed(args[0], args[1])
	case operators.In, operators.OldIn:
		w.keyed(args[1], args[0])
	case "hasSummary":
		if key, ok := literalText(args[0]); ok {
			w.reads.summary = append(w.reads.summary, key)
		} else {
			w.refuse(args[0], `name the metric in the expression itself, as in run.hasSummary("loss"): only metrics that rules name are fetched`)
		}
	case "dyn":
		w.refuse(e, "dyn hides what a rule reads; leave it out")
	case "annotation":
		if !w.nodeAnnotations && slices.Contains(w.ast.GetOverloadIDs(e.ID()), nodeType.TypeName()+"_annotation") {
			w.refuse(e, "only a ClusterTagRule may read annotations of nodes; read a label, or make it a ClusterTagRule")
		}
	}
}

// keyed notes a key of run.summary that is written out.
func (w *walk) keyed(of, by ast.Expr) {
	if key, ok := literalText(by); ok && w.isSummary(of) {
		w.name(of, key)
	}
}

func (w *walk) name(summary ast.Expr, key string) {
	w.named[summary.ID()] = true
	w.reads.summary = append(w.reads.summary, key)
}

func (w *walk) refuse(e ast.Expr, message string) {
	if w.wrong == nil {
		w.wrong = &misuse{id: e.ID(), message: message}
	}
}

// isSummary says whether an expression is the metrics of the run.
func (w *walk) isSummary(e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "summary" &&
		w.ast.GetType(e.AsSelect().Operand().ID()).IsExactType(runType)
}

func literalText(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	s, ok := e.AsLiteral().(types.String)
	return string(s), ok
}

package rules

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"github.com/google/cel-go/parser"
)

// tracer goes through an evaluated expression and collects what decided it.
type tracer struct {
	*expression
	state interpreter.EvalState
	atoms []atom
	// other: what is read now was only found to be something else than it is compared with.
	other bool
}

// atom is one thing that was read, as evidence shows it.
type atom struct {
	// what names it, so that it is shown once.
	what, text string
	// absent: it says what there was not; it is shown only where nothing else is.
	absent bool
	// at is when it came to be so; zero for what has no time.
	at time.Time
}

// support collects what made an expression true or false.
func (t *tracer) support(e ast.Expr, want bool) {
	switch e.Kind() {
	case ast.CallKind:
		t.call(e, want)
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		t.support(c.IterRange(), want)
		t.support(c.LoopStep(), want)
	case ast.SelectKind:
		t.field(e)
	case ast.ListKind:
		for _, part := range e.AsList().Elements() {
			t.support(part, want)
		}
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			t.support(entry.AsMapEntry().Key(), want)
			t.support(entry.AsMapEntry().Value(), want)
		}
	}
}

func (t *tracer) call(e ast.Expr, want bool) {
	call := e.AsCall()
	args := call.Args()
	switch call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		// One operand is enough to make an "or" true, or an "and" false.
		if want == (call.FunctionName() == operators.LogicalOr) {
			for _, arg := range args {
				if t.is(arg, want) {
					t.support(arg, want)
					return
				}
			}
		}
		for _, arg := range args {
			t.support(arg, want)
		}
	case operators.LogicalNot:
		t.support(args[0], !want)
	case operators.Conditional:
		yes := t.is(args[0], true)
		t.support(args[0], yes)
		if yes {
			t.support(args[1], want)
		} else {
			t.support(args[2], want)
		}
	case operators.Equals, operators.NotEquals:
		before := t.other
		t.other = want == (call.FunctionName() == operators.NotEquals)
		t.support(args[0], want)
		t.support(args[1], want)
		t.other = before
	case operators.Index:
		t.keyed(args[0], args[1], e)
		t.support(args[0], want)
		t.support(args[1], want)
	case operators.In:
		t.member(args[0], args[1], want)
		t.support(args[0], want)
		t.support(args[1], want)
	default:
		if call.IsMemberFunction() {
			t.help(e)
			t.support(call.Target(), want)
		}
		for _, arg := range args {
			t.support(arg, want)
		}
	}
}

func (t *tracer) is(e ast.Expr, want bool) bool {
	v := t.valueOf(e)
	return v == types.Bool(want)
}

// valueOf is what a part came to; nil if it was not evaluated. In a loop it is the last round's.
func (t *tracer) valueOf(e ast.Expr) ref.Val {
	if e.Kind() == ast.LiteralKind {
		return e.AsLiteral()
	}
	v, _ := t.state.Value(e.ID())
	return v
}

// field notes what a field of the run or of a pod was. Names are left out: they join pods with nodes.
func (t *tracer) field(e ast.Expr) {
	sel := e.AsSelect()
	operand := sel.Operand()
	of := t.ast.GetType(operand.ID())
	switch {
	case t.isSummary(operand):
		t.note(atom{what: "run.summary." + sel.FieldName(), text: sel.FieldName() + "=" + shown(t.valueOf(e))})
	case operand.Kind() == ast.IdentKind && operand.AsIdent() == "labels":
		t.note(atom{what: "labels." + sel.FieldName(), text: "label " + sel.FieldName() + "=" + shown(t.valueOf(e))})
	case of.IsExactType(runType) && sel.FieldName() != "summary":
		t.note(atom{what: "run." + sel.FieldName(), text: "run." + sel.FieldName() + "=" + shown(t.valueOf(e)), absent: t.other})
	case of.IsExactType(podType) && sel.FieldName() != "name" && sel.FieldName() != "node" && sel.FieldName() != "images":
		t.note(atom{what: "pod." + sel.FieldName(), text: sel.FieldName() + "=" + shown(t.valueOf(e)), absent: t.other})
	default:
		t.support(operand, true)
	}
}

func (t *tracer) isSummary(e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().FieldName() == "summary" && t.ast.GetType(e.AsSelect().Operand().ID()).IsExactType(runType)
}

// keyed notes a label of the object or a metric.
func (t *tracer) keyed(of, key, e ast.Expr) {
	switch {
	case t.isSummary(of):
		t.note(atom{what: "run.summary." + shown(t.valueOf(key)), text: shown(t.valueOf(key)) + "=" + shown(t.valueOf(e))})
	case of.Kind() == ast.IdentKind && of.AsIdent() == "labels":
		t.note(atom{what: "labels." + shown(t.valueOf(key)), text: "label " + shown(t.valueOf(key)) + "=" + shown(t.valueOf(e))})
	}
}

// member notes a tag or a label that is there, or is not.
func (t *tracer) member(key, of ast.Expr, there bool) {
	if of.Kind() != ast.IdentKind {
		return
	}
	kind := map[string]string{"tags": "tag ", "labels": "label "}[of.AsIdent()]
	if kind == "" {
		return
	}
	text := kind + shown(t.valueOf(key))
	if !there {
		text = "no " + text
	}
	t.note(atom{what: text, text: text, absent: !there})
}

// help notes what a helper found.
func (t *tracer) help(e ast.Expr) {
	call := e.AsCall()
	target, isObject := t.valueOf(call.Target()).(*object)
	if !isObject || len(call.Args()) != 1 {
		return
	}
	key, isText := t.valueOf(call.Args()[0]).(types.String)
	if !isText {
		return
	}
	if a, ok := read(call.FunctionName(), target, string(key)); ok {
		t.note(a)
	}
}

// read says what an object has under a key.
func read(helper string, o *object, key string) (atom, bool) {
	of := ""
	if o.of == namespaceType {
		of = "namespace "
	}
	switch helper {
	case "label", "hasLabel":
		v, ok := o.it.(labelled).label(key)
		return present(atom{what: of + key, text: of + pair(key, v)}, ok, of+"label "+key), true
	case "annotation":
		v, ok := o.it.(annotated).annotation(key)
		return present(atom{what: of + "annotation " + key, text: of + pair(key, v)}, ok, of+"annotation "+key), true
	case "taint", "hasTaint":
		taint, ok := o.it.(tainted).taint(key)
		return present(atom{what: "taint " + key, text: "taint " + pair(key, taint.Value), at: taint.At}, ok, "taint "+key), true
	case "condition", "conditionReason", "conditionTime":
		c, ok := o.it.(conditioned).condition(key)
		text := key + "=" + c.Status
		if helper == "conditionReason" && c.Reason != "" {
			text = key + "=" + c.Reason
		}
		return present(atom{what: "condition " + key, text: text, at: c.At}, ok, "condition "+key), true
	case "hasSummary":
		v, ok := o.it.(*Facts).Summary[key]
		return present(atom{what: "run.summary." + key, text: key + "=" + number64(v)}, ok, "metric "+key), true
	}
	return atom{}, false
}

func present(a atom, ok bool, name string) atom {
	if ok {
		return a
	}
	return atom{what: a.what, text: "no " + name, absent: true}
}

func pair(key, value string) string {
	if value == "" {
		return key
	}
	return key + "=" + value
}

// note keeps what was read. Of a condition a reason says more than the status, so it takes its place.
func (t *tracer) note(a atom) {
	for i := range t.atoms {
		if t.atoms[i].what == a.what {
			if strings.HasSuffix(t.atoms[i].text, "=True") {
				t.atoms[i] = a
			}
			return
		}
	}
	t.atoms = append(t.atoms, a)
}

// text lists what is there, or what is not if that is all.
func (t *tracer) text() string {
	var there, absent []string
	for _, a := range t.atoms {
		if a.absent {
			absent = append(absent, a.text)
		} else {
			there = append(there, a.text)
		}
	}
	if len(there) == 0 {
		there = absent
	}
	return strings.Join(there, ", ")
}

// falsePart narrows an expression that was false down to the part that made it so.
func (t *tracer) falsePart(e ast.Expr) ast.Expr {
	if e.Kind() != ast.CallKind {
		return e
	}
	args := e.AsCall().Args()
	switch e.AsCall().FunctionName() {
	case operators.LogicalAnd:
		for _, arg := range args {
			if t.is(arg, false) {
				return t.falsePart(arg)
			}
		}
	case operators.Conditional:
		if t.is(args[0], true) {
			return t.falsePart(args[1])
		}
		return t.falsePart(args[2])
	}
	return e
}

// source is the text of a part of the expression.
func (e *expression) source(part ast.Expr) string {
	text, err := parser.Unparse(part, e.ast.SourceInfo(), parser.WrapOnColumn(math.MaxInt32))
	if err != nil {
		return "the expression"
	}
	return fromParser(text)
}

// shown renders a value.
func shown(v ref.Val) string {
	switch v := v.(type) {
	case nil:
		return "?"
	case types.String:
		return string(v)
	case types.Double:
		return number64(float64(v))
	case types.Timestamp:
		return v.UTC().Format(time.RFC3339)
	}
	return fmt.Sprint(v.Value())
}

func number64(f float64) string { return fmt.Sprintf("%g", f) }

package rules

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
)

// The expressions of a rule, as its spec names them.
const (
	fieldWhen          = "when"
	fieldTagExpression = "tagExpression"
)

// CompileError says what is wrong with an expression, and where.
type CompileError struct {
	// Expression is "when" or "tagExpression".
	Expression string
	// Line and Column count from 1; Column counts characters.
	Line, Column int
	// Message is one line.
	Message string
}

// Error names the field, the position and what is wrong.
func (e *CompileError) Error() string {
	return fmt.Sprintf("spec.%s, line %d, column %d: %s", e.Expression, e.Line, e.Column, e.Message)
}

// Program is a compiled rule. It is safe for concurrent use.
type Program struct {
	retention Retention
	when      *expression
	// tags is nil for a rule without tagExpression.
	tags *expression
}

// expression is one compiled expression.
type expression struct {
	ast *ast.AST
	run cel.Program
	// tracked keeps the value of each part; it is for those who ask why.
	tracked cel.Program
	reads   reads
}

// Compile makes a program of a rule's expressions. An error is a *CompileError: about the first problem found, for an
// expression that does not parse, names what there is not, has the wrong type, or may cost too much.
func Compile(spec Spec) (*Program, error) {
	p := &Program{retention: spec.Retention}
	var err error
	if p.when, err = compile(fieldWhen, spec.When, types.BoolType, spec.NodeAnnotations); err != nil {
		return nil, err
	}
	if spec.TagExpression == "" {
		return p, nil
	}
	if p.tags, err = compile(fieldTagExpression, spec.TagExpression, types.NewListType(types.StringType), spec.NodeAnnotations); err != nil {
		return nil, err
	}
	return p, nil
}

// SummaryKeys lists in order the metrics that the rule names; no others need to be fetched for it.
func (p *Program) SummaryKeys() []string {
	keys := slices.Clone(p.when.reads.summary)
	if p.tags != nil {
		keys = append(keys, p.tags.reads.summary...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Reads says whether the rule reads a variable: run, labels, tags, namespace, pods, nodes or workloads.
func (p *Program) Reads(variable string) bool {
	return p.when.reads.variables[variable] || p.tags != nil && p.tags.reads.variables[variable]
}

func compile(name, source string, want *types.Type, nodeAnnotations bool) (*expression, error) {
	fail := func(line, column int, message string) error {
		return &CompileError{Expression: name, Line: line, Column: column, Message: oneLine(message)}
	}
	env, err := environment()
	if err != nil {
		return nil, fail(1, 1, fmt.Sprintf("the language of rules can't be set up: %v", err))
	}
	if !utf8.ValidString(source) {
		return nil, fail(1, 1, "the expression is not valid UTF-8")
	}
	checked, issues := env.Compile(forParser(source))
	if issues.Err() != nil {
		line, column, message := firstIssue(issues)
		return nil, fail(line, column, message)
	}
	native := checked.NativeRep()
	r, err := readsOf(native, nodeAnnotations)
	if err != nil {
		line, column := 1, 1
		if at := new(misuse); errors.As(err, &at) {
			line, column = position(native, at.id)
		}
		return nil, fail(line, column, err.Error())
	}
	if got := checked.OutputType(); !got.IsExactType(want) {
		line, column := position(native, native.Expr().ID())
		return nil, fail(line, column, fmt.Sprintf("the expression must give %s, and it gives %s", typeName(want), typeName(got)))
	}
	if err := estimate(env, checked); err != nil {
		return nil, fail(1, 1, err.Error())
	}
	out := &expression{ast: native, reads: *r}
	if out.run, err = program(env, checked, 0); err != nil {
		return nil, fail(1, 1, err.Error())
	}
	if out.tracked, err = program(env, checked, cel.OptTrackState); err != nil {
		return nil, fail(1, 1, err.Error())
	}
	return out, nil
}

// position of a part of an expression, counting from 1.
func position(a *ast.AST, id int64) (line, column int) {
	at := a.SourceInfo().GetStartLocation(id)
	return max(at.Line(), 1), max(at.Column()+1, 1)
}

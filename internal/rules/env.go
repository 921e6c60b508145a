package rules

import (
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
	"github.com/google/cel-go/interpreter"
)

// Limits of expressions. A unit of cost is about 50 ns. The static limit holds for a run with as many pods as the
// estimate assumes, the other for any run; both are those of Kubernetes for the rules of a CRD (StaticEstimatedCostLimit in
// k8s.io/apiextensions-apiserver, PerCallLimit in k8s.io/apiserver/pkg/apis/cel).
const (
	maxExpression = 16384
	maxDepth      = 64
	staticLimit   = 10_000_000
	runtimeLimit  = 1_000_000
)

// environment is what expressions are compiled in: CEL's standard library, its strings extension and what rules read.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(types.DefaultTypeAdapter),
		cel.CustomTypeProvider(provider{registry}),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(maxDepth),
		cel.EnableMacroCallTracking(),
		cel.HomogeneousAggregateLiterals(),
		// Version 5 would count its costs itself, past the limit of a string's length.
		ext.Strings(ext.StringsVersion(4), ext.StringsMaxPrecision(100)),
		onDouble("isNaN", math.IsNaN),
		onDouble("isInf", isInf),
	}
	for name, of := range variables {
		options = append(options, cel.Variable(name, of))
	}
	for _, h := range helpers {
		options = append(options, h.option())
	}
	return cel.NewEnv(options...)
})

// program plans an expression. Constants are not folded beforehand, since nothing would count what that costs.
func program(env *cel.Env, ast *cel.Ast, options cel.EvalOption) (cel.Program, error) {
	return env.Program(ast,
		cel.EvalOptions(cel.OptPartialEval, options),
		cel.OptimizeRegex(interpreter.MatchesRegexOptimization),
		cel.CostTracking(cost{}),
		cel.CostLimit(runtimeLimit),
	)
}

// cost says how large what rules read may be, and what calls cost.
type cost struct{}

// The sizes that the static estimate assumes.
const (
	assumedPods      = 64
	assumedWorkloads = 8
	assumedEntries   = 64
	assumedText      = 256
)

// EstimateSize assumes sizes; a run with more pods is evaluated as well, and bounded by the runtime limit.
func (cost) EstimateSize(element checker.AstNode) *checker.SizeEstimate {
	if path := element.Path(); len(path) == 1 {
		switch path[0] {
		case "pods", "nodes":
			return &checker.SizeEstimate{Max: assumedPods}
		case "workloads":
			return &checker.SizeEstimate{Max: assumedWorkloads}
		}
	}
	switch element.Type().Kind() {
	case types.StringKind, types.BytesKind:
		return &checker.SizeEstimate{Max: assumedText}
	case types.ListKind, types.MapKind:
		return &checker.SizeEstimate{Max: assumedEntries}
	}
	return nil
}

// EstimateCallCost prices the functions on strings, which go through their text, and leaves the others to CEL.
//
//nolint:gocritic // The interface asks for a pointer to an interface.
func (cost) EstimateCallCost(_, overload string, _ *checker.AstNode, _ []checker.AstNode) *checker.CallEstimate {
	if !strings.HasPrefix(overload, "list_join") && !isStringExtension(overload) {
		return nil
	}
	return &checker.CallEstimate{CostEstimate: checker.CostEstimate{Min: 1, Max: assumedText / 5}}
}

func isStringExtension(overload string) bool {
	for _, name := range []string{"char_at", "index_of", "last_index_of", "lower_ascii", "upper_ascii", "replace", "split", "substring", "trim", "reverse"} {
		if strings.HasPrefix(overload, "string_"+name) {
			return true
		}
	}
	return false
}

// CallCost ends an evaluation whose strings or lists grow out of hand, and leaves prices to CEL.
func (cost) CallCost(_, overload string, _ []ref.Val, result ref.Val) *uint64 {
	price := uint64(assumedText / 5)
	switch v := result.(type) {
	case types.String:
		if len(v) > maxText {
			price = runtimeLimit + 1
			return &price
		}
	case types.Bytes:
		if len(v) > maxText {
			price = runtimeLimit + 1
			return &price
		}
	case traits.Lister:
		if size, ok := v.Size().(types.Int); ok && size > maxText {
			price = runtimeLimit + 1
			return &price
		}
	}
	if isStringExtension(overload) || strings.HasPrefix(overload, "list_join") {
		return &price
	}
	return nil
}

// estimate says what an expression costs at most, as an error if that is too much.
func estimate(env *cel.Env, ast *cel.Ast) error {
	bounds, err := env.EstimateCost(ast, cost{})
	if err != nil {
		return fmt.Errorf("its cost can't be estimated: %w", err)
	}
	if bounds.Max > staticLimit {
		return fmt.Errorf("the expression is too expensive: for a run with %d pods it may cost %s the limit; go through pods and nodes once, not inside each other",
			assumedPods, times(bounds.Max))
	}
	return nil
}

func times(c uint64) string {
	if c > 1000*staticLimit {
		return "more than 1000 times"
	}
	return fmt.Sprintf("%.1f times", float64(c)/staticLimit)
}

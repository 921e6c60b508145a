package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/manifest"
	"github.com/runtag/runtag/internal/plugin/terminal"
	"github.com/runtag/runtag/internal/plugin/trial"
	"github.com/runtag/runtag/internal/rules"
)

// noMatch says by the exit code that no run matches; that is no error to tell of.
type noMatch struct{}

func (noMatch) Error() string { return "" }

// Is makes its exit code that of what was not wholly done.
func (noMatch) Is(target error) bool { return target == errPartly }

// trying is the command rule test.
type trying struct {
	selection
	output
	files     manifest.Files
	fixtures  string
	summaries []string
}

// tried is what a rule says of a run, as -o json and yaml show it.
type tried struct {
	Rule      string        `json:"rule"`
	Namespace string        `json:"namespace"`
	Run       string        `json:"run"`
	Outcome   trial.Outcome `json:"outcome"`
	Tags      []string      `json:"tags,omitempty"`
	Evidence  string        `json:"evidence,omitempty"`
	Why       string        `json:"why,omitempty"`
	Invalid   []string      `json:"invalid,omitempty"`
}

func newRuleTest(f *Frame) *cobra.Command {
	var t trying
	cmd := &cobra.Command{
		Use:   "test -f RULE (RUN... | --fixtures DIR)",
		Short: "Say what a rule would find, without applying it",
		Long: `Evaluate rules of files on TrainingRuns of the cluster, or on objects in files,
with the operator's own code, and write nothing. Of each run it says whether
the rule matches, with the evidence and the tags; whether it does not, with
the part of the expression that is false; or why there is no input, so that
nothing would change. Of an expression that does not compile it says where.

What you may not read (nodes, pods of the namespace) is no input. Metrics are
known to the operator alone: --summary says what they are.

--fixtures reads TrainingRuns, Pods, Nodes, Namespaces, Workloads of Kueue and
TrackingProjects, as kubectl get -o yaml gives them, and needs no cluster.

Exit codes: 0 if a run matches, 3 if none does, 1 if a rule does not compile.`,
		Example: `  kubectl runtag rule test -f rule.yaml capsules-3f9a1c
  kubectl runtag rule test -f rule.yaml --all --summary loss=NaN
  kubectl runtag rule test -f config/rules/preempted.yaml --fixtures testdata/reclaim -o yaml`,
		ValidArgsFunction: f.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(t.output.check(), t.selection.check(), t.checkFiles()); err != nil {
				return err
			}
			return t.run(cmd.Context(), f, args)
		},
	}
	t.selection.add(f, cmd, true)
	t.output.add(cmd, "json", "yaml")
	addFiles(cmd, &t.files, "The rules: files, folders, URLs, or - for standard input.")
	cmd.Flags().StringVar(&t.fixtures, "fixtures", "", "Folder or file with the objects to evaluate the rules on, instead of a cluster's.")
	cmd.Flags().StringArrayVar(&t.summaries, "summary", nil, "KEY=VALUE: a metric in run.summary of every run; KEY= for none (repeatable).")
	return cmd
}

// addFiles adds the flags of files that kubectl has.
func addFiles(cmd *cobra.Command, files *manifest.Files, usage string) {
	flags := cmd.Flags()
	flags.StringSliceVarP(&files.Names, "filename", "f", nil, usage)
	flags.StringVarP(&files.Kustomize, "kustomize", "k", "", "Folder of a kustomization, instead of -f.")
	flags.BoolVarP(&files.Recursive, "recursive", "R", false, "Read folders with all that is in them.")
}

func (t *trying) checkFiles() error {
	if !t.files.Given() {
		return usagef("say which rules: -f FILE")
	}
	return nil
}

func (t *trying) run(ctx context.Context, f *Frame, names []string) error {
	summary, err := readSummary(t.summaries)
	if err != nil {
		return err
	}
	namespace, _, err := f.Config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return fmt.Errorf("read the namespace from the kubeconfig: %w", err)
	}
	tested, err := f.readRules(ctx, t.files, namespace)
	if err != nil {
		return err
	}
	world, runs, err := t.world(ctx, f, namespace, names, summary)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return say(f.ErrOut, "no runs match the flags; there is nothing to try the rule on")
	}
	var all []tried
	for _, rule := range tested {
		answers, err := ask(world, rule, runs)
		if err != nil {
			return err
		}
		all = append(all, answers...)
		if t.format == "" {
			if err := t.tell(f, rule, answers); err != nil {
				return err
			}
		}
	}
	if t.format != "" {
		if err := t.data(f.Out, all); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(all, func(a tried) bool { return a.Outcome == trial.Match }) {
		return noMatch{}
	}
	return nil
}

// readSummary reads metrics; one without a value is known not to be there.
func readSummary(given []string) (map[string]*float64, error) {
	summary := map[string]*float64{}
	for _, item := range given {
		key, text, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, usagef("--summary is KEY=VALUE, not %q", item)
		}
		if text == "" {
			summary[key] = nil
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, usagef("--summary %s: %q is no number, NaN or Infinity", key, text)
		}
		summary[key] = &value
	}
	return summary, nil
}

// readRules reads rules from files, and compiles them.
func (f *Frame) readRules(ctx context.Context, files manifest.Files, namespace string) ([]trial.Rule, error) {
	objects, err := files.Read(f.In, namespace)
	if err != nil {
		return nil, err
	}
	var found []trial.Rule
	var broken []error
	for _, o := range objects {
		rule, ok, err := understand(ctx, o)
		switch {
		case err != nil:
			broken = append(broken, err)
		case ok:
			found = append(found, rule)
		}
	}
	if err := errors.Join(broken...); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, usagef("there is no TagRule or ClusterTagRule in %s", strings.TrimSpace(strings.Join(files.Names, " ")+" "+files.Kustomize))
	}
	return found, nil
}

// understand compiles the rule that an object is; ok is false if it is none.
func understand(ctx context.Context, o manifest.Object) (rule trial.Rule, ok bool, err error) {
	switch o.GetKind() {
	case kindTagRule:
		object := &v1alpha1.TagRule{}
		if err := o.Into(object, true); err != nil {
			return rule, false, err
		}
		rule, err = trial.Understand(ctx, object)
	case kindClusterTagRule:
		object := &v1alpha1.ClusterTagRule{}
		if err := o.Into(object, true); err != nil {
			return rule, false, err
		}
		rule, err = trial.Understand(ctx, object)
	default:
		return rule, false, nil
	}
	if err == nil && rule.Err != nil {
		err = fmt.Errorf("%s: %s/%s: %w", o.Source, o.GetKind(), o.GetName(), rule.Err)
	}
	return rule, true, err
}

// world reads what the rules are tried on, and gives the runs that are meant.
func (t *trying) world(ctx context.Context, f *Frame, namespace string, names []string, summary map[string]*float64) (*trial.World, []trial.Run, error) {
	if t.fixtures != "" {
		return t.fromFiles(f, namespace, names, summary)
	}
	s, err := f.connect()
	if err != nil {
		return nil, nil, err
	}
	chosen, err := t.named(ctx, s, names)
	if err != nil {
		return nil, nil, err
	}
	runs, err := s.subjects(ctx, chosen)
	if err != nil {
		return nil, nil, err
	}
	world, err := s.world(ctx, namespacesOf(chosen), summary)
	return world, runs, err
}

func namespacesOf(runs []v1alpha1.TrainingRun) []string {
	found := map[string]bool{}
	for i := range runs {
		found[runs[i].Namespace] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// world is what rules can read of some namespaces. Of what the person may not read it says so.
func (s *session) world(ctx context.Context, namespaces []string, summary map[string]*float64) (*trial.World, error) {
	seen, err := s.sights(ctx, namespaces)
	if err != nil {
		return nil, err
	}
	for _, variable := range slices.Sorted(maps.Keys(seen.Unread)) {
		if err := say(s.ErrOut, "%s: rules that need them get no input", seen.Unread[variable]); err != nil {
			return nil, err
		}
	}
	var neighbours []trial.Run // another run of a pod ends this one's time there
	for _, namespace := range namespaces {
		at := *s
		at.namespace = namespace
		runs, err := at.list(ctx, &selection{})
		if err != nil {
			return nil, err
		}
		more, err := s.subjects(ctx, runs)
		if err != nil {
			return nil, err
		}
		neighbours = append(neighbours, more...)
	}
	return trial.NewWorld(seen, neighbours, summary)
}

// fromFiles is world for --fixtures.
func (t *trying) fromFiles(f *Frame, namespace string, names []string, summary map[string]*float64) (*trial.World, []trial.Run, error) {
	if t.given() && !t.all {
		return nil, nil, usagef("with --fixtures name runs, or take all of them without flags")
	}
	runs, seen, ignored, err := f.fixtures(t.fixtures, namespace)
	if err != nil {
		return nil, nil, err
	}
	if len(ignored) > 0 {
		if err := say(f.ErrOut, "not read by rules, and ignored: %s", strings.Join(ignored, ", ")); err != nil {
			return nil, nil, err
		}
	}
	world, err := trial.NewWorld(seen, runs, summary)
	if err != nil {
		return nil, nil, err
	}
	var chosen []trial.Run
	for _, name := range names {
		at := slices.IndexFunc(runs, func(r trial.Run) bool { return r.Object.Name == name || r.ID() == name })
		if at < 0 {
			return nil, nil, fmt.Errorf("%q: %w in %s", name, errNoRun, t.fixtures)
		}
		chosen = append(chosen, runs[at])
	}
	if len(names) == 0 {
		chosen = runs
	}
	return world, chosen, nil
}

// order of outcomes: what is asked for first.
var order = []trial.Outcome{trial.Match, trial.NoMatch, trial.NoInput, trial.NotSelected}

// ask asks a rule of runs.
func ask(world *trial.World, rule trial.Rule, runs []trial.Run) ([]tried, error) {
	answers := make([]tried, 0, len(runs))
	for i := range runs {
		a, err := world.Ask(rule, &runs[i])
		if err != nil {
			return nil, err
		}
		answers = append(answers, tried{
			Rule: rule.Spec.Key, Namespace: runs[i].Object.Namespace, Run: runs[i].Object.Name,
			Outcome: a.Outcome, Tags: a.Tags, Evidence: a.Evidence, Why: a.Why, Invalid: a.Invalid,
		})
	}
	slices.SortStableFunc(answers, func(a, b tried) int {
		return cmp.Or(slices.Index(order, a.Outcome)-slices.Index(order, b.Outcome), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Run, b.Run))
	})
	return answers, nil
}

// tell writes for people.
func (t *trying) tell(f *Frame, rule trial.Rule, answers []tried) error {
	matches := 0
	table := &terminal.Table{Columns: []terminal.Column{{Title: "RESULT"}, {Title: "RUN", Min: 12}, {Title: "TAGS", Min: 12}, {Title: "WHY"}}}
	styles := map[trial.Outcome]terminal.Style{trial.Match: terminal.Green, trial.NoInput: terminal.Yellow, trial.NotSelected: terminal.Dim}
	for _, a := range answers {
		if a.Outcome == trial.Match {
			matches++
		}
		name := a.Run
		if t.allNamespaces {
			name = a.Namespace + "/" + a.Run
		}
		because := strings.Join(slices.DeleteFunc(append([]string{a.Evidence, a.Why}, a.Invalid...), func(text string) bool { return text == "" }), "; ")
		table.Rows = append(table.Rows, []terminal.Cell{
			{Text: string(a.Outcome), Style: styles[a.Outcome]}, {Text: name}, {Text: strings.Join(a.Tags, ", ")}, {Text: because},
		})
	}
	head := fmt.Sprintf("%s: %d of %s", f.terminal().Paint(terminal.Bold, rule.Spec.Key), matches, nRuns(len(answers)))
	if rule.Spec.For > 0 {
		head += fmt.Sprintf("; it must hold for %s before it gives tags", rule.Spec.For)
	}
	if rule.Spec.Mode != rules.Enforce {
		head += fmt.Sprintf("; in mode %s it gives none", rule.Spec.Mode)
	}
	if err := say(f.Out, "%s", head); err != nil {
		return err
	}
	return table.Write(f.terminal())
}

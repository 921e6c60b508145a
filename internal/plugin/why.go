package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/terminal"
	"github.com/runtag/runtag/internal/plugin/trial"
	"github.com/runtag/runtag/internal/plugin/why"
	"github.com/runtag/runtag/internal/rules"
)

// historySize is how many changes a status keeps, as in the CRD.
const historySize = 10

// auditLog is where older changes are found, for the installation of config/default.
const auditLog = `older changes are in the operator's audit log:
  kubectl logs -n runtag-system deploy/runtag-manager --all-pods | grep '"logger":"audit"' | grep '"trainingRun":"%s"'`

// asking is the command why.
type asking struct {
	output
	*session
	allNamespaces bool
}

// explained is all that is said of a run, as -o json and yaml show it.
type explained struct {
	Namespace   string                `json:"namespace"`
	TrainingRun string                `json:"trainingRun"`
	Project     string                `json:"project"`
	Run         *v1alpha1.RunStatus   `json:"run,omitempty"`
	Ready       *metav1.Condition     `json:"ready,omitempty"`
	Tags        []why.Account         `json:"tags"`
	Pods        []v1alpha1.PodLink    `json:"pods,omitempty"`
	Linked      *metav1.Condition     `json:"linked,omitempty"`
	History     []v1alpha1.TagHistory `json:"history,omitempty"`
}

func newWhy(f *Frame) *cobra.Command {
	var a asking
	cmd := &cobra.Command{
		Use:   "why RUN [TAG]",
		Short: "Say why a run has its tags, or does not have one",
		Long: `Say of each tag of a run who declared it (a field manager, with the time; a
rule, with its evidence; or the tracker), since when, and what would take it
off. Of a tag that is not on the run: why not, or who took it off and when. Of
a named tag that rules could give: what they say of the run now.

Then the run's pods, and its last 10 changes; the operator's audit log has the
older ones.`,
		Example: `  kubectl runtag why capsules-3f9a1c
  kubectl runtag why capsules-3f9a1c preempted
  kubectl runtag why https://wandb.ai/acme/capsules/runs/3f9a1c debug -o yaml`,
		Args:              between(1, 2, "RUN [TAG]"),
		ValidArgsFunction: f.completeRunThenTag,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := a.check(); err != nil {
				return err
			}
			var err error
			if a.session, err = f.connect(); err != nil {
				return err
			}
			return a.run(cmd.Context(), args[0], args[1:])
		},
	}
	a.output.add(cmd, "json", "yaml")
	cmd.Flags().BoolVarP(&a.allNamespaces, "all-namespaces", "A", false, "Look for the run in all namespaces.")
	return cmd
}

// between wants that many arguments.
func between(least, most int, names string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("%s takes %s, and got %d arguments; see %s --help", cmd.CommandPath(), names, len(args), cmd.CommandPath())
		}
		return nil
	}
}

// completeRunThenTag completes a run, and then a tag.
func (f *Frame) completeRunThenTag(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return f.completeRuns(cmd, args, typed)
	case 1:
		return f.completeTags(cmd, args, typed)
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// planned gives a run as it is planned.
func (s *session) planned(ctx context.Context, run *v1alpha1.TrainingRun) (plan.Run, error) {
	p, err := s.project(ctx, run.Namespace, run.Spec.ProjectRef.Name)
	if err != nil {
		return plan.Run{}, err
	}
	return plan.Run{Object: run, Dialect: p.dialect, Ceiling: plan.Policy(p.ceiling), Now: s.Clock.Now()}, nil
}

func (a *asking) run(ctx context.Context, name string, tag []string) error {
	run, err := a.find(ctx, name, a.allNamespaces)
	if err != nil {
		return err
	}
	r, err := a.planned(ctx, run)
	if err != nil {
		return err
	}
	e := explained{
		Namespace: run.Namespace, TrainingRun: run.Name, Project: run.Spec.ProjectRef.Name, Run: run.Status.Run, Tags: why.Of(r, tag...),
		Ready:  meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady),
		Linked: meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionLinked), Pods: run.Status.Pods,
	}
	if len(tag) > 0 {
		if err := a.askRules(ctx, run, &e.Tags[0]); err != nil {
			return err
		}
	}
	for _, h := range run.Status.History {
		if len(tag) == 0 || h.Tag == e.Tags[0].Tag {
			e.History = append(e.History, h)
		}
	}
	if a.format != "" {
		return a.data(a.Out, e)
	}
	return a.tell(run, e, len(tag) == 0)
}

// askRules adds to the account of a tag that is not there what the rules say now that could give it.
func (a *asking) askRules(ctx context.Context, run *v1alpha1.TrainingRun, account *why.Account) error {
	if account.Present || len(account.Claims) > 0 {
		return nil
	}
	all, unread, err := a.rules(ctx, run.Namespace)
	if err != nil {
		return err
	}
	for _, kind := range unread {
		account.Missing = append(account.Missing, "what "+kind+"s say is not known: you may not read them")
	}
	runs, err := a.subjects(ctx, []v1alpha1.TrainingRun{*run})
	if err != nil {
		return err
	}
	able := slices.DeleteFunc(all, func(r ruleObject) bool {
		named := slices.ContainsFunc(r.spec.Tags, func(tag string) bool { return runs[0].Name(tag) == account.Tag })
		return !named && r.spec.TagExpression == ""
	})
	if len(able) == 0 {
		return nil
	}
	world, err := a.world(ctx, []string{run.Namespace}, nil)
	if err != nil {
		return err
	}
	for _, r := range able {
		text, err := a.verdict(ctx, world, r, &runs[0], account.Tag)
		if err != nil {
			return err
		}
		if text != "" {
			account.Missing = append(account.Missing, text)
		}
	}
	return nil
}

// verdict says in words what a rule says of a run; nothing of one that computes its tags and does not give this one.
func (a *asking) verdict(ctx context.Context, world *trial.World, r ruleObject, run *trial.Run, tag string) (string, error) {
	name := r.kind + "/" + r.object.GetName()
	rule, err := trial.Understand(ctx, r.object)
	if err != nil {
		return "", err
	}
	if rule.Program == nil {
		return fmt.Sprintf("%s does not compile: %s", name, rule.Err), nil
	}
	said, err := world.Ask(rule, run)
	switch {
	case err != nil:
		return "", err
	case !slices.Contains(said.Asked.Spec.Tags, tag) && !slices.Contains(said.Tags, tag):
		return "", nil
	case said.Outcome == trial.NotSelected:
		return name + " is not for this run: " + said.Why, nil
	case said.Outcome == trial.NoInput:
		return name + " has no input, so it changes nothing: " + said.Why, nil
	case said.Outcome == trial.NoMatch:
		return name + " does not match: " + said.Why, nil
	case rule.Spec.Mode != rules.Enforce:
		return fmt.Sprintf("%s matches, and gives nothing in mode %s: %s", name, rule.Spec.Mode, said.Evidence), nil
	}
	return fmt.Sprintf("%s matches (%s), and gives it unless something above keeps it off", name, said.Evidence), nil
}

// tell writes for people. Pods are told of with the whole run only.
func (a *asking) tell(run *v1alpha1.TrainingRun, e explained, whole bool) error {
	t := a.terminal()
	var b strings.Builder
	a.head(&b, run, e)
	for _, account := range e.Tags {
		b.WriteString("\n")
		tellAccount(&b, t, account)
	}
	if _, err := fmt.Fprint(a.Out, b.String()); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	if whole {
		if err := a.tellPods(e); err != nil {
			return err
		}
	}
	return a.tellHistory(run, e)
}

func (a *asking) head(b *strings.Builder, run *v1alpha1.TrainingRun, e explained) {
	t := a.terminal()
	id := runID(run)
	if id == "" {
		id = fmt.Sprintf("%q", run.Spec.RunName)
	}
	fmt.Fprintf(b, "%s: run %s of project %s, %s", t.Paint(terminal.Bold, run.Namespace+"/"+run.Name), id, e.Project, stateOf(run))
	if e.Run != nil && e.Run.URL != "" {
		fmt.Fprintf(b, ", %s", e.Run.URL)
	}
	b.WriteString("\n")
	if e.Ready == nil || e.Ready.Status != metav1.ConditionTrue {
		fmt.Fprintf(b, "%s\n", t.Paint(terminal.Yellow, "not ready: "+readiness(run.Status.Conditions)))
	}
}

// tellAccount writes what is said of one tag.
func tellAccount(b *strings.Builder, t terminal.Terminal, a why.Account) {
	name := t.Paint(terminal.Bold, terminal.Clean(a.Tag))
	switch {
	case a.Present:
		fmt.Fprintf(b, "%s: %s", name, t.Paint(terminal.Green, "on the run"))
	case len(a.Claims) > 0:
		fmt.Fprintf(b, "%s: %s", name, t.Paint(terminal.Yellow, "declared, not on the run"))
	default:
		fmt.Fprintf(b, "%s: %s", name, t.Paint(terminal.Yellow, "not on the run"))
	}
	if a.Since != nil && len(a.Claims) > 0 {
		fmt.Fprintf(b, ", since %s", a.Since.UTC().Format(time.RFC3339))
	}
	b.WriteString("\n")
	line := func(title, text string) { fmt.Fprintf(b, "  %-6s %s\n", title, terminal.Clean(text)) }
	for i, c := range a.Claims {
		line(map[bool]string{true: "by", false: "and"}[i == 0], claim(c))
	}
	for i, text := range a.Missing {
		line(map[bool]string{true: "why", false: "and"}[i == 0], text)
	}
	for i, text := range a.Goes {
		line(map[bool]string{true: "off by", false: "and"}[i == 0], text)
	}
}

func claim(c why.Claim) string {
	text := c.Where
	if len(c.Writers) > 0 {
		text += ", written by " + why.Written(c.Writers)
	}
	if c.Evidence != "" {
		text += ": " + c.Evidence
	}
	if c.Count > 1 && c.Last != nil {
		text += fmt.Sprintf(" (%d times, the last at %s)", c.Count, c.Last.UTC().Format(time.RFC3339))
	}
	return text
}

func (a *asking) tellPods(e explained) error {
	if e.Linked != nil && e.Linked.Status == metav1.ConditionFalse {
		if err := say(a.Out, "\npods: %s", e.Linked.Message); err != nil {
			return err
		}
	}
	if len(e.Pods) == 0 {
		return nil
	}
	if err := say(a.Out, ""); err != nil {
		return err
	}
	table := &terminal.Table{Columns: []terminal.Column{{Title: "POD", Min: 12}, {Title: "NODE", Min: 8}, {Title: "FOUND BY"}, {Title: "FROM"}, {Title: "UNTIL"}}}
	for _, p := range e.Pods {
		until := ""
		if p.Until != nil {
			until = p.Until.UTC().Format(time.RFC3339)
		}
		table.Rows = append(table.Rows, []terminal.Cell{{Text: p.Name}, {Text: p.Node}, {Text: p.BoundBy}, {Text: p.From.UTC().Format(time.RFC3339)}, {Text: until}})
	}
	return table.Write(a.terminal())
}

func (a *asking) tellHistory(run *v1alpha1.TrainingRun, e explained) error {
	if len(e.History) > 0 {
		if err := say(a.Out, ""); err != nil {
			return err
		}
		table := &terminal.Table{Columns: []terminal.Column{{Title: "CHANGED"}, {Title: "WHAT"}, {Title: "TAG", Min: 12}, {Title: "WHO", Min: 12}}}
		for _, h := range slices.SortedStableFunc(slices.Values(e.History), func(x, y v1alpha1.TagHistory) int { return y.Time.Compare(x.Time.Time) }) {
			table.Rows = append(table.Rows, []terminal.Cell{{Text: h.Time.UTC().Format(time.RFC3339)}, {Text: string(h.Change)}, {Text: h.Tag}, {Text: why.Who(h)}})
		}
		if err := table.Write(a.terminal()); err != nil {
			return err
		}
	}
	if len(run.Status.History) < historySize {
		return nil
	}
	return say(a.Out, auditLog, run.Name)
}

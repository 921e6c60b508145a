package plugin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/runtag/runtag/internal/plugin/manifest"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/terminal"
	"github.com/runtag/runtag/internal/plugin/why"
)

// planning is the command plan.
type planning struct {
	output
	*session
	files         manifest.Files
	allNamespaces bool
	merging
}

// planned is one change on one or more runs, as -o json and yaml show it.
type plannedChange struct {
	// Change is add, remove, or replace for a value of MLflow that takes another one's place.
	Change  string `json:"change"`
	Tag     string `json:"tag"`
	Was     string `json:"was,omitempty"`
	Because string `json:"because"`
	Rule    string `json:"rule,omitempty"`
	// HeldBy is the policy that keeps it from being done.
	HeldBy string   `json:"heldBy,omitempty"`
	Runs   []string `json:"runs"`
}

// unknownRun is a run of which nothing was seen.
type unknownRun struct {
	TrainingRun string   `json:"trainingRun"`
	Because     string   `json:"because"`
	Declares    []string `json:"declares,omitempty"`
}

// outlook is all that plan shows.
type outlook struct {
	Changes []plannedChange `json:"changes"`
	Unknown []unknownRun    `json:"unknown,omitempty"`
	Notes   []string        `json:"notes,omitempty"`
	runs    map[string]bool
}

func newPlan(f *Frame) *cobra.Command {
	var p planning
	cmd := &cobra.Command{
		Use:   "plan [-f FILE] [PROJECT]",
		Short: "Show what would change on the tracker, and write nothing",
		Long: `With -f: show what would change on the trackers if these manifests were
applied (TrainingRuns, TrackingProjects, TagRules, ClusterTagRules). Runs that
have no TrainingRun yet are listed as unknown. Changes that are under way
anyway are left out.

Without -f: show what policies and ceilings keep from being written, of a
project or of the whole namespace, such as after a first installation with
maxTagPolicy Observe.

Changes are grouped by tag, and by who declares it or which rule gives it. It
goes by what was seen at the last look, and does not know the operator's own
--max-tag-policy. As kubectl apply does it, a manifest is merged into the
object on the client's side, or, with --server-side, by the API server;
--dry-run=server has it validated, too.`,
		Example: `  kubectl runtag plan
  kubectl runtag plan capsules -o yaml
  kubectl runtag plan -f runs/
  kubectl runtag plan -k overlays/prod --server-side --field-manager argocd-controller`,
		Args:              atMost(1, "PROJECT"),
		ValidArgsFunction: f.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.checkAll(); err != nil {
				return err
			}
			var err error
			if p.session, err = f.connect(); err != nil {
				return err
			}
			return p.run(cmd.Context(), strings.Join(args, ""))
		},
	}
	p.output.add(cmd, "wide", "json", "yaml")
	addFiles(cmd, &p.files, "Manifests: files, folders, URLs, or - for standard input.")
	p.merging.add(cmd)
	cmd.Flags().BoolVarP(&p.allNamespaces, "all-namespaces", "A", false, "Without -f: what is held back in all namespaces.")
	return cmd
}

func (p *planning) checkAll() error {
	if p.allNamespaces && p.files.Given() {
		return usagef("-A is for what is held back; with -f the manifests say where")
	}
	if err := p.output.check(); err != nil {
		return err
	}
	return p.merging.check()
}

func (p *planning) run(ctx context.Context, project string) error {
	if project != "" && !p.files.Given() && !p.allNamespaces {
		if err := p.needProject(ctx, project); err != nil {
			return err
		}
	}
	var all *outlook
	var err error
	if p.files.Given() {
		all, err = p.proposed(ctx, project)
	} else {
		all, err = p.pending(ctx, project)
	}
	if err != nil {
		return err
	}
	all.sort()
	if p.format == "json" || p.format == "yaml" {
		return p.data(p.Out, all)
	}
	return p.tell(all)
}

// pending is what policies keep from being written, by the runs' statuses.
func (p *planning) pending(ctx context.Context, project string) (*outlook, error) {
	sel := selection{allNamespaces: p.allNamespaces}
	if project != "" {
		sel.fields = "spec.projectRef.name=" + escapeField(project)
	}
	runs, err := p.list(ctx, &sel)
	if err != nil {
		return nil, err
	}
	all := newOutlook()
	for i := range runs {
		held := runs[i].Status.Pending
		if held == nil {
			continue
		}
		r, err := p.planned(ctx, &runs[i])
		if err != nil {
			return nil, err
		}
		wishes := r.Wishes()
		for remove, names := range map[bool][]string{false: held.Add, true: held.Remove} {
			for _, name := range names {
				all.add(p.nameOf(r), wished(wishes, name, remove), why.HeldBy(r))
			}
		}
	}
	return all, nil
}

// wished finds what is said of a change that status lists as held back.
func wished(wishes []plan.Change, name string, remove bool) plan.Change {
	for _, c := range wishes {
		if c.Tag == name && c.Remove == remove {
			return c
		}
	}
	return plan.Change{Tag: name, Remove: remove, Because: "by status.pending"}
}

func (p *planning) nameOf(r plan.Run) string {
	if r.Object.Namespace != p.namespace || p.allNamespaces {
		return r.Object.Namespace + "/" + r.Object.Name
	}
	return r.Object.Name
}

func newOutlook() *outlook {
	return &outlook{Changes: []plannedChange{}, runs: map[string]bool{}}
}

// add adds a change of a run to those of its kind.
func (o *outlook) add(run string, c plan.Change, heldBy string) {
	one := plannedChange{Change: "add", Tag: c.Tag, Was: c.Was, Because: c.Because, Rule: c.Rule, HeldBy: heldBy}
	switch {
	case c.Remove:
		one.Change = "remove"
	case c.Was != "":
		one.Change = "replace"
	}
	o.runs[run] = true
	at := slices.IndexFunc(o.Changes, func(x plannedChange) bool {
		return x.Change == one.Change && x.Tag == one.Tag && x.Because == one.Because && x.HeldBy == one.HeldBy
	})
	if at < 0 {
		one.Runs = []string{run}
		o.Changes = append(o.Changes, one)
		return
	}
	o.Changes[at].Runs = append(o.Changes[at].Runs, run)
}

func (o *outlook) sort() {
	for _, c := range o.Changes {
		slices.Sort(c.Runs)
	}
	slices.SortFunc(o.Changes, func(a, b plannedChange) int {
		return cmp.Or(strings.Compare(a.Tag, b.Tag), strings.Compare(a.Change, b.Change), strings.Compare(a.Because, b.Because), strings.Compare(a.HeldBy, b.HeldBy))
	})
	slices.SortFunc(o.Unknown, func(a, b unknownRun) int { return strings.Compare(a.TrainingRun, b.TrainingRun) })
	slices.Sort(o.Notes)
	o.Notes = slices.Compact(o.Notes)
}

// marks are how changes are shown.
var marks = map[string]struct {
	sign  string
	style terminal.Style
}{"add": {"+ ", terminal.Green}, "remove": {"- ", terminal.Red}, "replace": {"~ ", terminal.Yellow}}

// tell writes for people.
func (p *planning) tell(o *outlook) error {
	if len(o.Changes) > 0 {
		if err := p.table(o).Write(p.terminal()); err != nil {
			return err
		}
	}
	for _, u := range o.Unknown {
		text := "? " + u.TrainingRun + ": unknown, " + u.Because
		if len(u.Declares) > 0 {
			text += "; it declares " + strings.Join(u.Declares, ", ")
		}
		if err := say(p.Out, "%s", p.terminal().Paint(terminal.Yellow, terminal.Clean(text))); err != nil {
			return err
		}
	}
	for _, note := range o.Notes {
		if err := say(p.ErrOut, "%s", note); err != nil {
			return err
		}
	}
	return say(p.Out, "%s", p.summary(o))
}

func (p *planning) summary(o *outlook) string {
	counts := map[string]int{}
	for _, c := range o.Changes {
		counts[c.Change] += len(c.Runs)
	}
	if len(o.Changes) == 0 {
		switch {
		case p.files.Given() && len(o.Unknown) > 0:
			return "nothing would change on the tracker, as far as it is known"
		case p.files.Given():
			return "nothing would change on the tracker"
		}
		return "nothing is held back"
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d to %s", counts[kind], kind))
	}
	verb := "held back"
	if p.files.Given() {
		verb = "planned; nothing was written"
	}
	return fmt.Sprintf("%s on %s: %s", strings.Join(parts, ", "), nRuns(len(o.runs)), verb)
}

func (p *planning) table(o *outlook) *terminal.Table {
	t := &terminal.Table{Columns: []terminal.Column{{Title: "CHANGE", Min: 14}, {Title: "BECAUSE", Min: 14}, {Title: "RUNS"}, {Title: "WHICH", Min: 14}}}
	held := slices.ContainsFunc(o.Changes, func(c plannedChange) bool { return c.HeldBy != "" })
	if held {
		t.Columns = append(t.Columns, terminal.Column{Title: "HELD BACK AS", Min: 14})
	}
	for _, c := range o.Changes {
		which := strings.Join(c.Runs, ", ")
		if p.format != "wide" && len(c.Runs) > 3 {
			which = fmt.Sprintf("%s, and %d more", strings.Join(c.Runs[:3], ", "), len(c.Runs)-3)
		}
		row := []terminal.Cell{{Text: marks[c.Change].sign + c.Tag, Style: marks[c.Change].style}, {Text: c.Because}, {Text: strconv.Itoa(len(c.Runs))}, {Text: which}}
		if held {
			row = append(row, terminal.Cell{Text: c.HeldBy})
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

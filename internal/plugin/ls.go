package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// began is since when a run is: on the tracker, or as long as that is not known, in Kubernetes.
func began(run *v1alpha1.TrainingRun) metav1.Time {
	if run.Status.Run != nil && run.Status.Run.CreatedAt != nil {
		return *run.Status.Run.CreatedAt
	}
	return run.CreationTimestamp
}

// listing is the command ls.
type listing struct {
	selection
	output
	*session
	projectName string
	sort        string
	maxRuns     int32
	noHeaders   bool
}

// orders are the ways to sort.
var orders = []string{"name", "age", "state", "tags"}

func newList(f *Frame) *cobra.Command {
	var l listing
	cmd := &cobra.Command{
		Use:     "ls [RUN...]",
		Aliases: []string{"list"},
		Short:   "List runs with their tags, and who set them",
		Long: `List runs with their state, tags, the sources of those, and age. A tag in
parentheses is declared and not on the run yet. Sources: spec, label (or
annotation), rule; run is what somebody set on the tracker.

With --project the tracker's own runs are listed, whether Kubernetes mirrors
them or not: the operator is asked by a TagChange that changes nothing, and is
deleted afterwards.`,
		Example: `  kubectl runtag ls
  kubectl runtag ls --with-tag baseline --without-tag debug --sort age -o wide
  kubectl runtag ls -A --state running
  kubectl runtag ls --project capsules --with-tag debug
  kubectl runtag add keep $(kubectl runtag ls --state finished -o name)`,
		ValidArgsFunction: f.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := l.checkAll(); err != nil {
				return err
			}
			var err error
			if l.session, err = f.connect(); err != nil {
				return err
			}
			if l.projectName != "" {
				return l.tracker(cmd.Context(), args)
			}
			return l.runs(cmd.Context(), args)
		},
	}
	l.selection.add(f, cmd, false)
	l.output.add(cmd, "wide", "json", "yaml", "name")
	flags := cmd.Flags()
	flags.StringVar(&l.projectName, "project", "", "List the runs of this TrackingProject on the tracker, imported or not.")
	flags.StringVar(&l.sort, "sort", "name", "Order: "+strings.Join(orders, ", ")+" (most first).")
	flags.Int32Var(&l.maxRuns, "max-runs", 1000, "With --project: refuse to list more runs.")
	flags.BoolVar(&l.noHeaders, "no-headers", false, "Leave out the titles of the columns.")
	complete(cmd, "project", f.completeProjects)
	complete(cmd, "sort", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return orders, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (l *listing) checkAll() error {
	if !slices.Contains(orders, l.sort) {
		return usagef("there is no order %q: take one of %s", l.sort, strings.Join(orders, ", "))
	}
	if err := l.output.check(); err != nil {
		return err
	}
	return l.selection.check()
}

// runs lists TrainingRuns.
func (l *listing) runs(ctx context.Context, names []string) error {
	l.all = len(names) == 0
	runs, err := l.named(ctx, l.session, names)
	if err != nil {
		return err
	}
	l.order(runs)
	if l.objects() {
		return l.print(l.session, asObjects(runs), len(names) == 1)
	}
	if len(runs) == 0 {
		return say(l.ErrOut, "no runs found in %s", l.where())
	}
	table := l.table()
	for i := range runs {
		table.Rows = append(table.Rows, l.row(&runs[i]))
	}
	return table.Write(l.terminal())
}

func (l *listing) where() string {
	if l.allNamespaces {
		return "any namespace"
	}
	return "namespace " + l.namespace
}

func (l *listing) order(runs []v1alpha1.TrainingRun) {
	slices.SortStableFunc(runs, func(a, b v1alpha1.TrainingRun) int {
		by := 0
		switch l.sort {
		case "age": // the youngest first
			by = began(&b).Compare(began(&a).Time)
		case "state":
			by = strings.Compare(stateOf(&a), stateOf(&b))
		case "tags":
			by = cmp.Compare(b.Status.TagCount, a.Status.TagCount)
		}
		return cmp.Or(by, strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
}

func (l *listing) table() *terminal.Table {
	t := &terminal.Table{NoTitles: l.noHeaders}
	if l.allNamespaces {
		t.Columns = append(t.Columns, terminal.Column{Title: "NAMESPACE"})
	}
	t.Columns = append(t.Columns,
		terminal.Column{Title: "NAME", Min: 12}, terminal.Column{Title: "RUN", Min: 8}, terminal.Column{Title: "STATE"},
		terminal.Column{Title: "TAGS", Min: 12}, terminal.Column{Title: "SOURCES", Min: 10}, terminal.Column{Title: "AGE"})
	if l.format == "wide" {
		t.Columns = append(t.Columns, terminal.Column{Title: "PROJECT"}, terminal.Column{Title: "READY"}, terminal.Column{Title: "POLICY"}, terminal.Column{Title: "URL"})
	}
	return t
}

func (l *listing) row(run *v1alpha1.TrainingRun) []terminal.Cell {
	var cells []terminal.Cell
	add := func(text string, style terminal.Style) {
		cells = append(cells, terminal.Cell{Text: text, Style: style})
	}
	if l.allNamespaces {
		add(run.Namespace, terminal.Plain)
	}
	state := stateOf(run)
	add(run.Name, terminal.Plain)
	add(cmp.Or(runID(run), run.Spec.RunName), terminal.Plain)
	add(state, stateStyle(state))
	add(tagsOf(run), terminal.Plain)
	add(sourcesOf(run), terminal.Dim)
	add(duration.HumanDuration(l.Clock.Now().Sub(began(run).Time)), terminal.Plain)
	if l.format == "wide" {
		ready, url := "", ""
		if c := meta.FindStatusCondition(run.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			ready = string(c.Status) + " " + c.Reason
		}
		if run.Status.Run != nil {
			url = run.Status.Run.URL
		}
		add(run.Spec.ProjectRef.Name, terminal.Plain)
		add(ready, terminal.Plain)
		add(string(run.Spec.TagPolicy), terminal.Plain)
		add(url, terminal.Plain)
	}
	return cells
}

// tracker lists the runs of a project on the tracker.
func (l *listing) tracker(ctx context.Context, names []string) error {
	sel, err := l.onTracker()
	if err != nil {
		return err
	}
	for _, name := range names {
		if id, _, ok := pageOf(name); ok {
			name = id
		}
		sel.RunIDs = append(sel.RunIDs, name)
	}
	sel.All = !l.given() && len(names) == 0
	if err := l.needProject(ctx, l.projectName); err != nil {
		return err
	}
	found, err := l.query(ctx, l.projectName, sel, l.maxRuns)
	if err != nil {
		return err
	}
	mirrored, err := l.mirrored(ctx, l.projectName)
	if err != nil {
		return err
	}
	rows := make([]trackerRun, 0, len(found))
	for _, m := range found {
		rows = append(rows, trackerRun{ID: m.ID, Name: m.Name, State: m.State, Tags: m.Tags, More: m.More, TrainingRun: mirrored[m.ID]})
	}
	l.orderFound(rows)
	return l.showFound(rows)
}

// trackerRun is a run of the tracker, as -o json and yaml show it.
type trackerRun struct {
	ID    string   `json:"id"`
	Name  string   `json:"name,omitempty"`
	State string   `json:"state,omitempty"`
	Tags  []string `json:"tags"`
	// More is how many tags the run has beside these.
	More int `json:"more,omitempty"`
	// TrainingRun mirrors it; empty where none does.
	TrainingRun string `json:"trainingRun,omitempty"`
}

func (l *listing) orderFound(rows []trackerRun) {
	slices.SortStableFunc(rows, func(a, b trackerRun) int {
		switch l.sort {
		case "age":
			return 0 // in the order of the tracker's list, the oldest first
		case "state":
			return cmp.Or(strings.Compare(a.State, b.State), strings.Compare(a.ID, b.ID))
		case "tags":
			return cmp.Or(cmp.Compare(len(b.Tags)+b.More, len(a.Tags)+a.More), strings.Compare(a.ID, b.ID))
		}
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID, b.ID))
	})
	if l.sort == "age" {
		slices.Reverse(rows)
	}
}

func (l *listing) showFound(rows []trackerRun) error {
	switch l.format {
	case "json", "yaml":
		return l.data(l.Out, rows)
	case "name":
		for _, r := range rows {
			if err := say(l.Out, "%s", r.ID); err != nil {
				return err
			}
		}
		return nil
	}
	if len(rows) == 0 {
		return say(l.ErrOut, "no runs found in project %s", l.projectName)
	}
	t := &terminal.Table{NoTitles: l.noHeaders, Columns: []terminal.Column{
		{Title: "RUN", Min: 8}, {Title: "NAME", Min: 12}, {Title: "STATE"}, {Title: "TAGS", Min: 12}, {Title: "MIRRORED AS", Min: 12},
	}}
	for _, r := range rows {
		names := strings.Join(r.Tags, ", ")
		if r.More > 0 {
			names += ", and " + strconv.Itoa(r.More) + " more"
		}
		t.Rows = append(t.Rows, []terminal.Cell{{Text: r.ID}, {Text: r.Name}, {Text: r.State, Style: stateStyle(r.State)}, {Text: names}, {Text: r.TrainingRun}})
	}
	return t.Write(l.terminal())
}

// mirrored gives the names of a project's TrainingRuns by their runs' ids.
func (s *session) mirrored(ctx context.Context, project string) (map[string]string, error) {
	runs, err := s.list(ctx, &selection{fields: "spec.projectRef.name=" + escapeField(project)})
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for i := range runs {
		if id := runID(&runs[i]); id != "" {
			names[id] = runs[i].Name
		}
	}
	return names, nil
}

func stateOf(run *v1alpha1.TrainingRun) string {
	switch {
	case run.Status.Run == nil || run.Status.Run.State == "":
		return "-"
	case run.Status.Run.Stale:
		return run.Status.Run.State + " (stale)"
	}
	return run.Status.Run.State
}

func stateStyle(state string) terminal.Style {
	switch backend.State(state) {
	case backend.StateRunning:
		return terminal.Green
	case backend.StateFailed, backend.StateCrashed:
		return terminal.Red
	case backend.StatePreempting, backend.StatePreempted, backend.StateKilled:
		return terminal.Yellow
	}
	return terminal.Plain
}

// tagsOf are a run's tags in a line; those that are not on it yet are in parentheses.
func tagsOf(run *v1alpha1.TrainingRun) string {
	names := make([]string, 0, len(run.Status.Tags))
	for _, t := range run.Status.Tags {
		if t.Present {
			names = append(names, t.Name)
		} else {
			names = append(names, "("+t.Name+")")
		}
	}
	return strings.Join(names, ", ")
}

// sourcesOf counts a run's tags by who declared them.
func sourcesOf(run *v1alpha1.TrainingRun) string {
	counts := map[v1alpha1.TagSource]int{}
	for _, t := range run.Status.Tags {
		counts[t.Source]++
	}
	return sources(counts)
}

func sources(counts map[v1alpha1.TagSource]int) string {
	var parts []string
	for _, source := range []v1alpha1.TagSource{v1alpha1.TagSourceSpec, v1alpha1.TagSourceLabel, v1alpha1.TagSourceRule, v1alpha1.TagSourceRun} {
		if n := counts[source]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, strings.ToLower(string(source))))
		}
	}
	return strings.Join(parts, ", ")
}

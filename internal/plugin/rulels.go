package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// The kinds of rules.
const (
	kindTagRule        = "TagRule"
	kindClusterTagRule = "ClusterTagRule"
)

// ruleListing is the command rule ls.
type ruleListing struct {
	output
	*session
	allNamespaces, noHeaders bool
}

func newRuleList(f *Frame) *cobra.Command {
	var l ruleListing
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List rules with what they match",
		Long: `List the TagRules of the namespace and all ClusterTagRules, with how many
TrainingRuns they match, how long ago they matched one more, and their mode.
Who may not read ClusterTagRules is told so, and sees the rest.`,
		Example: `  kubectl runtag rule ls
  kubectl runtag rule ls -A -o wide`,
		Args: exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := l.check(); err != nil {
				return err
			}
			var err error
			if l.session, err = f.connect(); err != nil {
				return err
			}
			return l.run(cmd.Context())
		},
	}
	l.output.add(cmd, "wide", "json", "yaml", "name")
	flags := cmd.Flags()
	flags.BoolVarP(&l.allNamespaces, "all-namespaces", "A", false, "TagRules of all namespaces.")
	flags.BoolVar(&l.noHeaders, "no-headers", false, "Leave out the titles of the columns.")
	return cmd
}

// ruleObject is a rule of either kind.
type ruleObject struct {
	kind   string
	object client.Object
	spec   *v1alpha1.TagRuleSpec
	status *v1alpha1.TagRuleStatus
}

// rules reads the TagRules of a namespace, or of all if it is empty, and the ClusterTagRules. unread says which kinds
// the person may not read.
func (s *session) rules(ctx context.Context, namespace string) (all []ruleObject, unread []string, err error) {
	var own v1alpha1.TagRuleList
	switch err := s.client.List(ctx, &own, client.InNamespace(namespace)); {
	case apierrors.IsForbidden(err):
		unread = append(unread, kindTagRule)
	case err != nil:
		return nil, nil, fmt.Errorf("list TagRules: %w", err)
	}
	var wide v1alpha1.ClusterTagRuleList
	switch err := s.client.List(ctx, &wide); {
	case apierrors.IsForbidden(err):
		unread = append(unread, kindClusterTagRule)
	case err != nil:
		return nil, nil, fmt.Errorf("list ClusterTagRules: %w", err)
	}
	for i := range own.Items {
		r := &own.Items[i]
		all = append(all, ruleObject{kindTagRule, r, &r.Spec, &r.Status})
	}
	for i := range wide.Items {
		r := &wide.Items[i]
		all = append(all, ruleObject{kindClusterTagRule, r, &r.Spec.TagRuleSpec, &r.Status})
	}
	slices.SortStableFunc(all, func(a, b ruleObject) int {
		return cmp.Or(strings.Compare(b.kind, a.kind), strings.Compare(a.object.GetNamespace(), b.object.GetNamespace()), strings.Compare(a.object.GetName(), b.object.GetName()))
	})
	return all, unread, nil
}

func (l *ruleListing) run(ctx context.Context) error {
	namespace := l.namespace
	if l.allNamespaces {
		namespace = ""
	}
	all, unread, err := l.rules(ctx, namespace)
	if err != nil {
		return err
	}
	for _, kind := range unread {
		if err := say(l.ErrOut, "%ss are not listed: you may not read them", kind); err != nil {
			return err
		}
	}
	switch l.format {
	case "json", "yaml":
		return l.listed(all)
	case "name":
		for _, r := range all {
			if err := say(l.Out, "%s.%s/%s", strings.ToLower(r.kind), v1alpha1.GroupVersion.Group, r.object.GetName()); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		return say(l.ErrOut, "no rules found; config/rules has some to begin with")
	}
	return l.table(all).Write(l.terminal())
}

func (l *ruleListing) listed(all []ruleObject) error {
	items := make([]any, 0, len(all))
	for _, r := range all {
		r.object.SetManagedFields(nil)
		r.object.GetObjectKind().SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(r.kind))
		items = append(items, r.object)
	}
	return l.data(l.Out, map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
}

func (l *ruleListing) table(all []ruleObject) *terminal.Table {
	t := &terminal.Table{NoTitles: l.noHeaders}
	if l.allNamespaces {
		t.Columns = append(t.Columns, terminal.Column{Title: "NAMESPACE"})
	}
	t.Columns = append(t.Columns, terminal.Column{Title: "RULE", Min: 16}, terminal.Column{Title: "MODE"}, terminal.Column{Title: "TAGS", Min: 12},
		terminal.Column{Title: "MATCHES"}, terminal.Column{Title: "LAST MATCH"}, terminal.Column{Title: "READY"})
	if l.format == "wide" {
		t.Columns = append(t.Columns, terminal.Column{Title: "HELD"}, terminal.Column{Title: "RETENTION"}, terminal.Column{Title: "FOR"}, terminal.Column{Title: "WHEN", Min: 20})
	}
	for _, r := range all {
		t.Rows = append(t.Rows, l.row(r))
	}
	return t
}

func (l *ruleListing) row(r ruleObject) []terminal.Cell {
	var cells []terminal.Cell
	if l.allNamespaces {
		cells = append(cells, terminal.Cell{Text: r.object.GetNamespace()})
	}
	last := ""
	if r.status.LastMatch != nil {
		last = duration.HumanDuration(l.Clock.Now().Sub(r.status.LastMatch.Time)) + " ago"
	}
	ready, style := "-", terminal.Yellow
	if c := meta.FindStatusCondition(r.status.Conditions, v1alpha1.ConditionReady); c != nil {
		ready = string(c.Status)
		if c.Status == metav1.ConditionTrue {
			style = terminal.Green
		} else {
			ready += " " + c.Reason
		}
	}
	cells = append(cells, terminal.Cell{Text: r.kind + "/" + r.object.GetName()}, terminal.Cell{Text: string(r.spec.Mode)}, terminal.Cell{Text: tagsOfRule(r.spec)},
		terminal.Cell{Text: strconv.Itoa(int(r.status.MatchedRuns))}, terminal.Cell{Text: last}, terminal.Cell{Text: ready, Style: style})
	if l.format == "wide" {
		cells = append(cells, terminal.Cell{Text: strconv.Itoa(int(r.status.HeldRuns))}, terminal.Cell{Text: string(r.spec.Retention)},
			terminal.Cell{Text: r.spec.For.Duration.String()}, terminal.Cell{Text: strings.Join(strings.Fields(r.spec.When), " ")})
	}
	return cells
}

// tagsOfRule are the tags that a rule gives, with a mark for those that it computes.
func tagsOfRule(spec *v1alpha1.TagRuleSpec) string {
	names := slices.Clone(spec.Tags)
	if spec.TagExpression != "" {
		names = append(names, "(computed)")
	}
	return strings.Join(names, ", ")
}

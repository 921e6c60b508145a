package evidence

import (
	"slices"

	"github.com/runtag/runtag/internal/intern"
)

// interner lets equal strings, lists and maps share their memory: each pod is decoded by itself, with keys of labels,
// images and names of nodes of its own.
type interner struct{ *intern.Interner }

func newInterner() *interner { return &interner{intern.New()} }

// set gives texts that are equal to these; where only the names are known already, those are shared.
func (in *interner) set(t Texts) Texts {
	if t.Len() == 0 {
		return Texts{}
	}
	sum := in.Sum(t.of.values...)*31 + in.Sum(*t.of.names...)
	if same, ok := in.Find(sum).(Texts); ok && same.Equal(t) {
		return same
	}
	own := &texts{names: in.names(*t.of.names), values: slices.Clip(slices.Clone(t.of.values))}
	for i, value := range own.values {
		own.values[i] = in.Text(value)
	}
	in.Keep(sum, Texts{own})
	return Texts{own}
}

// names gives a list that is equal to this one.
func (in *interner) names(of []string) *[]string {
	sum := in.Sum(of...)
	if same, ok := in.Find(sum).(*[]string); ok && slices.Equal(*same, of) {
		return same
	}
	own := slices.Clip(slices.Clone(of))
	for i, name := range own {
		own[i] = in.Text(name)
	}
	in.Keep(sum, &own)
	return &own
}

// list gives a list that is equal to one of this interner's; each makes an item share its strings.
func list[T comparable](in *interner, items []T, each func(*T)) []T {
	if len(items) == 0 {
		return nil
	}
	var sum uint64
	for _, item := range items {
		sum = sum*31 + intern.Sum(in.Interner, item)
	}
	if same, ok := in.Find(sum).([]T); ok && slices.Equal(same, items) {
		return same
	}
	own := slices.Clip(slices.Clone(items))
	for i := range own {
		each(&own[i])
	}
	in.Keep(sum, own)
	return own
}

// conditions are of one object alone, since their times are: only the strings are shared.
func (in *interner) conditions(items []Condition) []Condition {
	own := slices.Clip(slices.Clone(items))
	for i := range own {
		c := &own[i]
		c.Type, c.Status, c.Reason = in.Text(c.Type), in.Text(c.Status), in.Text(c.Reason)
	}
	return own
}

func (in *interner) pod(p *Pod) {
	p.Namespace, p.NodeName, p.Phase, p.Reason = in.Text(p.Namespace), in.Text(p.NodeName), in.Text(p.Phase), in.Text(p.Reason)
	p.Labels, p.Annotations = in.set(p.Labels), in.set(p.Annotations)
	p.Conditions = in.conditions(p.Conditions)
	texts := func(s *string) { *s = in.Text(*s) }
	p.Images, p.Unreadable = list(in, p.Images, texts), list(in, p.Unreadable, texts)
	p.OwnerRuns = list(in, p.OwnerRuns, texts)
	p.Owners = list(in, p.Owners, func(o *Owner) { o.APIVersion, o.Kind = in.Text(o.APIVersion), in.Text(o.Kind) })
	p.Runs = list(in, p.Runs, func(r *RunRef) {
		r.Tracker, r.Project, r.Entity, r.URL = in.Text(r.Tracker), in.Text(r.Project), in.Text(r.Entity), in.Text(r.URL)
	})
}

func (in *interner) node(n *Node) {
	n.Labels, n.Annotations, n.Conditions = in.set(n.Labels), in.set(n.Annotations), in.conditions(n.Conditions)
	n.Taints = slices.Clip(slices.Clone(n.Taints))
	for i := range n.Taints {
		t := &n.Taints[i]
		t.Key, t.Value, t.Effect = in.Text(t.Key), in.Text(t.Value), in.Text(t.Effect)
	}
}

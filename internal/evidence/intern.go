package evidence

import (
	"hash/maphash"
	"slices"
)

// generation is how many strings, and how many lists and maps, a generation of an interner holds.
const generation = 1024

// interner lets equal strings, lists and maps share their memory: each pod is decoded by itself, with keys of labels,
// images and names of nodes of its own. It holds two generations, so what was asked for lately is found, and nothing is
// kept for ever.
type interner struct {
	seed           maphash.Seed
	texts, old     map[string]string
	shared, before map[uint64]any
}

func newInterner() *interner {
	return &interner{seed: maphash.MakeSeed(), texts: map[string]string{}, shared: map[uint64]any{}}
}

func (in *interner) text(s string) string {
	if s == "" {
		return ""
	}
	if same, ok := in.texts[s]; ok {
		return same
	}
	if same, ok := in.old[s]; ok {
		s = same
	}
	if len(in.texts) >= generation {
		in.texts, in.old = map[string]string{}, in.texts
	}
	in.texts[s] = s
	return s
}

// find gives what was kept under this sum.
func (in *interner) find(sum uint64) any {
	if v, ok := in.shared[sum]; ok {
		return v
	}
	v, ok := in.before[sum]
	if ok {
		in.keep(sum, v)
	}
	return v
}

func (in *interner) keep(sum uint64, v any) {
	if len(in.shared) >= generation {
		in.shared, in.before = map[uint64]any{}, in.shared
	}
	in.shared[sum] = v
}

// set gives texts that are equal to these; where only the names are known already, those are shared.
func (in *interner) set(t Texts) Texts {
	if t.Len() == 0 {
		return Texts{}
	}
	sum := in.sum(t.of.values)*31 + in.sum(*t.of.names)
	if same, ok := in.find(sum).(Texts); ok && same.Equal(t) {
		return same
	}
	own := &texts{names: in.names(*t.of.names), values: slices.Clip(slices.Clone(t.of.values))}
	for i, value := range own.values {
		own.values[i] = in.text(value)
	}
	in.keep(sum, Texts{own})
	return Texts{own}
}

// names gives a list that is equal to this one.
func (in *interner) names(of []string) *[]string {
	sum := in.sum(of)
	if same, ok := in.find(sum).(*[]string); ok && slices.Equal(*same, of) {
		return same
	}
	own := slices.Clip(slices.Clone(of))
	for i, name := range own {
		own[i] = in.text(name)
	}
	in.keep(sum, &own)
	return &own
}

func (in *interner) sum(texts []string) (sum uint64) {
	for _, text := range texts {
		sum = sum*31 + maphash.String(in.seed, text)
	}
	return sum
}

// list gives a list that is equal to one of this interner's; each makes an item share its strings.
func list[T comparable](in *interner, items []T, each func(*T)) []T {
	if len(items) == 0 {
		return nil
	}
	var sum uint64
	for _, item := range items {
		sum = sum*31 + maphash.Comparable(in.seed, item)
	}
	if same, ok := in.find(sum).([]T); ok && slices.Equal(same, items) {
		return same
	}
	own := slices.Clip(slices.Clone(items))
	for i := range own {
		each(&own[i])
	}
	in.keep(sum, own)
	return own
}

// conditions are of one object alone, since their times are: only the strings are shared.
func (in *interner) conditions(items []Condition) []Condition {
	own := slices.Clip(slices.Clone(items))
	for i := range own {
		c := &own[i]
		c.Type, c.Status, c.Reason = in.text(c.Type), in.text(c.Status), in.text(c.Reason)
	}
	return own
}

func (in *interner) pod(p *Pod) {
	p.Namespace, p.NodeName, p.Phase, p.Reason = in.text(p.Namespace), in.text(p.NodeName), in.text(p.Phase), in.text(p.Reason)
	p.Labels, p.Annotations = in.set(p.Labels), in.set(p.Annotations)
	p.Conditions = in.conditions(p.Conditions)
	texts := func(s *string) { *s = in.text(*s) }
	p.Images, p.Unreadable = list(in, p.Images, texts), list(in, p.Unreadable, texts)
	p.OwnerRuns = list(in, p.OwnerRuns, texts)
	p.Owners = list(in, p.Owners, func(o *Owner) { o.APIVersion, o.Kind = in.text(o.APIVersion), in.text(o.Kind) })
	p.Runs = list(in, p.Runs, func(r *RunRef) {
		r.Tracker, r.Project, r.Entity, r.URL = in.text(r.Tracker), in.text(r.Project), in.text(r.Entity), in.text(r.URL)
	})
}

func (in *interner) node(n *Node) {
	n.Labels, n.Annotations, n.Conditions = in.set(n.Labels), in.set(n.Annotations), in.conditions(n.Conditions)
	n.Taints = slices.Clip(slices.Clone(n.Taints))
	for i := range n.Taints {
		t := &n.Taints[i]
		t.Key, t.Value, t.Effect = in.text(t.Key), in.text(t.Value), in.text(t.Effect)
	}
}

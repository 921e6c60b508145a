package mirror

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/runtag/runtag/internal/tags"
)

// chooser draws a number below n: from rapid, which shrinks, or from a seed, which is fast.
type chooser func(n int) int

func pick[T any](choose chooser, items ...T) T { return items[choose(len(items))] }

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// world is one run, one object whose labels stand for the run's tags, and everybody who writes to either. Passes of the
// operator may die after any write, start from an old object, or plan with an old look at the run.
type world struct {
	dialect tags.Dialect
	names   []string
	object  object
	version int
	run     tags.Set
	script  tags.Set // what the SDK has in memory; nil while no script runs
	looks   []tags.Set
	old     []stored
	writes  int
	trace   []string

	named    map[string]bool // ever named by a person, or put there by a rule
	theirs   map[string]bool // labels that a person set and that are not to be touched
	declared map[string]bool // tags whose declaration by label must not get lost
	off      map[string]bool // tags whose declaration by label a person ended, and no pass has seen it
	let      map[string]bool // tags that were let go while the policy removed nothing: they stay
	put      map[string]bool // keys whose value on the run is ours, and written by nobody since
	was      map[string]bool // every "key=raw" that somebody else wrote
}

// object is the TrainingRun.
type object struct {
	spec, excluded, rules map[string]bool
	policy                tags.Policy
	labels                map[string]string
	wrote                 map[string]bool
	status                status
}

type status struct {
	seen      bool
	entries   []Entry
	record    tags.Record
	overruled map[string]bool
}

type stored struct {
	object
	version int
}

func (o object) clone() object {
	o.spec, o.excluded, o.rules = maps.Clone(o.spec), maps.Clone(o.excluded), maps.Clone(o.rules)
	o.labels, o.wrote = maps.Clone(o.labels), maps.Clone(o.wrote)
	o.status.overruled = maps.Clone(o.status.overruled)
	return o
}

func newWorld(choose chooser) *world {
	set := func() map[string]bool { return map[string]bool{} }
	w := &world{
		dialect: plain, names: []string{"a", "b", "c"}, run: tags.Set{},
		named: set(), theirs: set(), declared: set(), off: set(), let: set(), put: set(), was: set(),
		object: object{
			spec: set(), excluded: set(), rules: set(), policy: tags.Merge, labels: map[string]string{}, wrote: set(),
			status: status{record: tags.Record{RunUID: "u1"}, overruled: set()},
		},
	}
	if choose(2) == 0 {
		w.dialect, w.names = pairs, []string{"a", "k=x", "k=y", "k"}
	}
	return w
}

func (w *world) tag(name string) tags.Tag {
	tag, err := w.dialect.Parse(name)
	if err != nil {
		panic(err)
	}
	return tag
}

func (w *world) raw(tag tags.Tag) string {
	if w.dialect.Pairs && tag.Value == "" {
		return "true"
	}
	return tag.Value
}

// name remembers that a person meant this tag: what was let go before is in that person's hands again.
func (w *world) name(name string) { w.named[name] = true; delete(w.let, name) }

// label is a person's edit of one label.
func (w *world) label(key, text string) {
	if current, there := w.object.labels[key]; there && current == text {
		return // nothing is written
	}
	if isPair(key) && !w.object.status.seen {
		return // whose it is depends on the run then: that has tests of its own
	}
	w.touchLabel(key)
	delete(w.object.wrote, key)
	w.object.labels[key] = text
	name, ok := NameOf(key, text)
	w.theirs[key] = !isOperatorValue(text)
	if isPair(key) && slices.ContainsFunc(w.object.status.entries, func(e Entry) bool { return e.Name == name && e.Mirrored && !e.Person }) {
		w.theirs[key] = false // as good as never taken off
	}
	if ok && w.theirs[key] {
		w.declared[name] = true
		delete(w.off, name)
		w.name(name)
	}
	w.heal(key)
}

func (w *world) unlabel(key string) {
	if _, there := w.object.labels[key]; !there {
		return
	}
	w.touchLabel(key)
	delete(w.object.labels, key)
	delete(w.object.wrote, key)
	delete(w.theirs, key)
	w.heal(key)
}

// heal: while the identity is gone, a label that declares nothing becomes again what status knows.
func (w *world) heal(key string) {
	text, there := w.object.labels[key]
	if _, identified := w.object.labels[Project]; identified || !w.object.status.seen || there && (isDeclaration(text) || isPair(key)) {
		return
	}
	for name := range w.known() {
		if k, _, _ := keyOf(w.dialect, name); k == key {
			w.declared[name], w.theirs[key] = true, false
			delete(w.off, name)
		}
	}
}

// known are the tags that status knows to be declared by a label.
func (w *world) known() map[string]bool {
	known := map[string]bool{}
	for _, e := range w.object.status.entries {
		if e.Person && e.Mirrored {
			known[e.Name] = true
		}
	}
	return known
}

// touchLabel: whatever the label said, a person ends it.
func (w *world) touchLabel(key string) {
	if text, there := w.object.labels[key]; there {
		name, ok := NameOf(key, text)
		if !ok {
			name = strings.TrimPrefix(key, TagPrefix)
		}
		w.name(name)
	}
	known := w.known()
	for name := range w.declared {
		if k, _, _ := keyOf(w.dialect, name); k == key {
			delete(w.declared, name)
			w.off[name] = known[name]
		}
	}
}

// wipe replaces the metadata by something that knows no labels. What status does not know of is lost.
func (w *world) wipe() {
	w.object.labels, w.object.wrote, w.theirs = map[string]string{}, map[string]bool{}, map[string]bool{}
	w.declared = w.known()
}

// act lets somebody do something.
func (w *world) act(choose chooser) {
	name := w.names[choose(len(w.names))]
	tag, o := w.tag(name), &w.object
	key, _ := Key(w.dialect, tag)
	what := pick(choose, "label", "label", "unlabel", "unlabel", "unlabel-all", "mistake", "operator's", "spec+", "spec-", "page+", "page-",
		"script-start", "script+", "script-end", "rule+", "rule-", "exclude", "include", "wipe", "policy", "policy")
	w.trace = append(w.trace, what+" "+name)
	switch what {
	case "label":
		w.label(key, tag.Value)
	case "unlabel":
		w.unlabel(key)
	case "unlabel-all":
		for key := range maps.Clone(o.labels) {
			if IsMirror(key) {
				w.unlabel(key)
			}
		}
	case "mistake":
		w.label(TagPrefix+tag.Key, "yes")
	case "operator's":
		w.label(TagPrefix+tag.Key, pick(choose, "run", "spec", "rule"))
	case "spec+":
		o.spec[name] = true
		w.name(name)
	case "spec-":
		delete(o.spec, name)
		w.name(name)
	case "page+":
		w.foreign(w.run.Apply(tags.Edit{Set: tags.Set{tag.Key: w.raw(tag)}}))
	case "page-":
		w.foreign(w.run.Apply(tags.Edit{Remove: []string{tag.Key}}))
	case "script-start":
		w.script = maps.Clone(w.run)
	case "script+":
		if w.script != nil {
			w.script[tag.Key] = w.raw(tag)
			w.foreign(maps.Clone(w.script))
		}
	case "script-end":
		w.script = nil
	case "rule+":
		o.rules[name] = true
	case "rule-":
		delete(o.rules, name)
	case "exclude":
		o.excluded[name] = true
		w.name(name)
		w.named["exclude "+tag.Key] = true
	case "include":
		delete(o.excluded, name)
	case "wipe":
		w.wipe()
	case "policy":
		o.policy = pick(choose, tags.Merge, tags.Merge, tags.Add, tags.Observe)
	}
	w.version++
}

// foreign is a write to the run by somebody else.
func (w *world) foreign(after tags.Set) {
	for key := range w.put {
		if raw, there := after[key]; !there || raw != w.run[key] {
			delete(w.put, key)
		}
	}
	for key, raw := range after {
		w.was[key+"="+raw] = w.was[key+"="+raw] || !w.put[key]
	}
	w.run = after
}

func (w *world) walk(choose chooser, steps int) error {
	for range steps {
		w.looks = append(w.looks, maps.Clone(w.run))
		if choose(2) == 0 {
			w.act(choose)
			continue
		}
		from, look := stored{w.object.clone(), w.version}, w.run
		w.old = append(w.old, from)
		if choose(5) == 0 {
			from = w.old[choose(len(w.old))]
		}
		if choose(2) == 0 {
			look = w.looks[max(0, len(w.looks)-1-choose(4))]
		}
		dies := pick(choose, "", "", "labels", "status", "tracker")
		if err := w.pass(stored{from.clone(), from.version}, maps.Clone(look), dies); err != nil {
			return err
		}
	}
	for range 14 {
		writes := w.writes
		if err := w.pass(stored{w.object.clone(), w.version}, maps.Clone(w.run), ""); err != nil {
			return err
		}
		if w.writes == writes {
			return w.atRest()
		}
	}
	return fmt.Errorf("never at rest: %v, %+v", w.run, w.object)
}

func walk(choose chooser, steps int) error {
	w := newWorld(choose)
	if err := w.walk(choose, steps); err != nil {
		return fmt.Errorf("%w, after\n%s", err, strings.Join(w.trace, "\n"))
	}
	return nil
}

// TestWalk: whatever people, scripts, rules and crashes do, no foreign tag is changed or taken off, no person's label is
// overwritten or its declaration lost, and in the end the labels mirror the run.
func TestWalk(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		if err := walk(random.IntN, 60); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestWalkShrunk walks less, and says what the shortest way to a failure is.
func TestWalkShrunk(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		if err := walk(choose, 30); err != nil {
			t.Fatal(err)
		}
	})
}

func sorted(names map[string]bool) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for name, in := range names {
			if in && !yield(name) {
				return
			}
		}
	})
}

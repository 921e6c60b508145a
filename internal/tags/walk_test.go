package tags

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// chooser draws a number below n: from rapid, which shrinks, or from a seed, which is fast.
type chooser func(n int) int

func pick[T any](choose chooser, items ...T) T { return items[choose(len(items))] }

// world is one run, one object that declares tags on it, and everybody else who writes to either. Passes of the operator
// may die after any write, start from an old object, or plan with an old look at the run.
type world struct {
	dialect Dialect
	names   []string

	run     Set
	script  Set   // what the SDK has in memory; nil while no script runs
	looks   []Set // states of the run since our last write
	object  object
	version int
	// careless operators do not write a record that did not change, and so do not see that the object did.
	careless bool
	old      []stored
	now      time.Time
	endedAt  time.Time
	writes   int
	trace    []string // what happened, for failures

	named  map[string]bool // ever named on our side, or put there by one of our rules
	puts   map[string]bool // keys whose present value is ours, and written by nobody since
	theirs map[string]bool // every key and value that somebody else ever wrote
}

// object is the declaring side together with its stored record.
type object struct {
	spec, excluded, rules, requested map[string]bool
	policy                           Policy
	record                           Record
}

type stored struct {
	object
	version int
}

func (o object) clone() object {
	o.spec, o.excluded, o.rules, o.requested = maps.Clone(o.spec), maps.Clone(o.excluded), maps.Clone(o.rules), maps.Clone(o.requested)
	return o
}

func newWorld(choose chooser) *world {
	w := &world{
		dialect: plain, names: []string{"a", "b", "c"}, run: Set{}, now: noon, named: map[string]bool{}, puts: map[string]bool{}, theirs: map[string]bool{},
		object: object{spec: map[string]bool{}, excluded: map[string]bool{}, rules: map[string]bool{}, requested: map[string]bool{}, policy: Merge, record: Record{RunUID: "u1"}},
	}
	if choose(2) == 0 {
		w.dialect, w.names = pairs, []string{"a", "k", "k=x", "k=y", "k=false"}
	}
	w.careless = choose(2) == 0
	return w
}

func (w *world) input(o object, observed Set) Input {
	return Input{
		Dialect: w.dialect, RunUID: "u1", Observed: observed, Now: w.now, EndedAt: w.endedAt, Record: o.record, Policy: o.policy, Ceiling: Exclusive,
		Declared: declare(of(Spec, sorted(o.spec)...), byRule("TagRule/r", sorted(o.rules)...)), Excluded: sorted(o.excluded), Requested: sorted(o.requested),
	}
}

// name remembers that a tag may be removed from now on; on a key/value tracker a bare exclusion is about all values.
func (w *world) name(tag string) { w.named[tag] = true }

func (w *world) mayRemove(key, raw string) bool {
	return w.named[w.dialect.FormatRaw(key, raw)] || w.named["exclude "+key]
}

// act lets somebody do something.
func (w *world) act(choose chooser) {
	name := w.names[choose(len(w.names))]
	tag := w.dialect.split(name)
	o := &w.object
	what := choose(16)
	w.trace = append(w.trace, fmt.Sprintf("%s %s", [...]string{
		"spec+", "spec+", "spec-", "spec-", "page+", "page-", "script-start", "script+", "script+", "script-end", "exclude", "include", "policy", "rule+", "rule-", "other",
	}[what], name))
	switch what {
	case 0, 1:
		o.spec[name] = true
		w.name(name)
	case 2, 3:
		delete(o.spec, name)
	case 4:
		w.foreign(w.run.Apply(Edit{Set: Set{tag.Key: w.dialect.raw(tag)}}))
	case 5:
		w.foreign(w.run.Apply(Edit{Remove: []string{tag.Key}}))
	case 6:
		w.script = maps.Clone(w.run)
	case 7, 8:
		if w.script != nil {
			w.script[tag.Key] = w.dialect.raw(tag)
			w.foreign(maps.Clone(w.script))
		}
	case 9:
		w.script = nil
	case 10:
		o.excluded[name] = true
		w.name(name)
		if w.dialect.Pairs {
			w.name("exclude " + name)
		}
	case 11:
		delete(o.excluded, name)
	case 12:
		o.policy = pick(choose, Merge, Merge, Add, Observe)
	case 13:
		o.rules[name] = true
	case 14:
		delete(o.rules, name)
	case 15:
		switch choose(3) {
		case 0:
			w.now = w.now.Add(11 * time.Minute)
		case 1:
			w.endedAt = pick(choose, time.Time{}, w.now)
		default:
			o.requested[name] = true
			w.name(name)
		}
	}
	w.version++
}

// foreign is a write by somebody else.
func (w *world) foreign(after Set) {
	for key := range w.puts {
		if raw, ok := after[key]; !ok || raw != w.run[key] {
			delete(w.puts, key)
		}
	}
	for key, raw := range after {
		w.theirs[key+"="+raw] = w.theirs[key+"="+raw] || !w.puts[key]
	}
	w.run = after
}

// store writes the record. An object that changed since it was read is a conflict.
func (w *world) store(version int, record Record) bool {
	if w.careless && record.Equal(w.object.record) {
		return true
	}
	if version != w.version {
		return false
	}
	if !record.Equal(w.object.record) {
		w.object.record, w.version, w.writes = record, w.version+1, w.writes+1
	}
	return true
}

// Where a pass dies.
const (
	afterIntent = iota
	afterTracker
	never
)

// pass is one reconciliation: plan, write the record down, read and write the run, write down what was learnt.
func (w *world) pass(from stored, look Set, dies int) error {
	plan := Make(w.input(from.object, look))
	w.trace = append(w.trace, fmt.Sprintf("pass (%d of %d, dies %d) on %v of %v: %+v, record %+v", from.version, w.version, dies, look, w.run, plan.Edit, plan.Record))
	if !w.store(from.version, plan.Record) {
		return nil
	}
	if dies == afterIntent {
		w.nameEntered(plan)
		return nil
	}
	version, before := w.version, maps.Clone(w.run)
	again := w.input(from.object, before)
	again.Record = w.object.record
	sent := Make(again)
	if !w.object.record.Authorizes(sent.Record) {
		w.store(version, plan.Unsent()) // the next pass plans with a new look
		return nil
	}
	if err := w.write(sent); err != nil {
		return err
	}
	if dies == afterTracker {
		w.nameEntered(plan)
		return nil
	}
	record := plan.Settled(before, w.dialect)
	w.nameEntered(Plan{Entered: slices.DeleteFunc(slices.Clone(plan.Entered), func(name string) bool {
		return !slices.ContainsFunc(record.Applied, func(a Applied) bool { return a.Name == name })
	})})
	w.store(version, record)
	for name := range w.object.requested {
		if from.requested[name] {
			delete(w.object.requested, name)
		}
	}
	return nil
}

// nameEntered: what a rule put there, or may have, is ours to take off.
func (w *world) nameEntered(plan Plan) {
	for _, name := range plan.Entered {
		w.name(name)
	}
}

// write carries a plan out and checks that it harms nobody.
func (w *world) write(plan Plan) error {
	if plan.Edit.Empty() {
		return nil
	}
	for key := range touched(plan.Edit) {
		raw, there := w.run[key]
		after, stays := plan.Edit.Set[key]
		written := w.dialect.FormatRaw(key, after)
		isAdd := stays && slices.ContainsFunc(plan.Record.Applied, func(a Applied) bool { return a.Name == written })
		switch {
		case !isAdd && there && !w.mayRemove(key, raw):
			return fmt.Errorf("foreign %q is taken off", w.dialect.FormatRaw(key, raw))
		case !isAdd && stays && !w.theirs[key+"="+after]:
			return fmt.Errorf("%q comes back as %q, which nobody but we wrote", key, after)
		case !isAdd:
			delete(w.puts, key)
		default:
			w.puts[key] = true
		}
	}
	w.run, w.writes = w.run.Apply(plan.Edit), w.writes+1
	w.looks = nil
	return nil
}

// walk mixes everybody for some steps and then lets the operator come to rest.
func walk(choose chooser, steps int) error {
	w := newWorld(choose)
	if err := w.walk(choose, steps); err != nil {
		return fmt.Errorf("%w, after\n%s", err, strings.Join(w.trace, "\n"))
	}
	return nil
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
		if err := w.pass(stored{from.clone(), from.version}, maps.Clone(look), pick(choose, never, never, afterIntent, afterTracker)); err != nil {
			return err
		}
	}
	for range 12 {
		writes := w.writes
		if err := w.pass(stored{w.object.clone(), w.version}, maps.Clone(w.run), never); err != nil {
			return err
		}
		if w.writes == writes {
			return w.atRest()
		}
	}
	return fmt.Errorf("never at rest: %v, %+v", w.run, w.object)
}

// atRest checks what has to be true in the end.
func (w *world) atRest() error {
	in := w.input(w.object, w.run)
	excluded := newExclusion(w.dialect, in.Excluded)
	r := resolve(w.dialect, in.Declared, excluded)
	for key, c := range r.want {
		raw, there := w.run[key]
		if w.object.policy >= Merge && (!there || !w.dialect.satisfies(c.tag, raw)) || w.object.policy == Add && !there {
			return fmt.Errorf("%q is declared and not on the run %v", c.name, w.run)
		}
	}
	if w.object.policy < Merge {
		return nil
	}
	for key, raw := range w.run {
		_, declared := r.want[key]
		if excluded.coversRaw(key, raw) {
			return fmt.Errorf("%q is excluded and on the run %v", key, w.run)
		}
		if w.puts[key] && !declared && !r.frozen[key] {
			return fmt.Errorf("%q was put there by us, is declared by nobody and still there: %v, %+v", key, w.run, w.object.record)
		}
	}
	return nil
}

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

package mirror

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/go-cmp/cmp"

	"github.com/runtag/runtag/internal/tags"
)

func (w *world) mirrorInput(o object, look tags.Set) Input {
	return Input{
		Dialect: w.dialect, Labels: o.labels, Wrote: o.wrote, Entries: o.status.entries, Observed: look,
		MayRemove: o.policy >= tags.Merge, Seen: o.status.seen,
	}
}

func (w *world) planInput(o object, r Reading, look tags.Set) tags.Input {
	of := func(source tags.Source, names ...string) tags.Declarations {
		d := tags.Declarations{Name: string(source)}
		for _, name := range names {
			d.Tags = append(d.Tags, tags.Declaration{Tag: name, Source: source})
		}
		return d
	}
	held := maps.Clone(o.rules)
	for name := range o.status.overruled {
		delete(held, name)
	}
	return tags.Input{
		Dialect: w.dialect, RunUID: "u1", Observed: look, Now: noon, Record: o.status.record, Policy: o.policy, Ceiling: tags.Exclusive,
		Declared: []tags.Declarations{of(tags.Spec, sorted(o.spec)...), of(tags.Label, r.Declared...), of(tags.Rule, sorted(held)...)},
		Excluded: sorted(o.excluded), Requested: r.Requested, Forgotten: r.Forgotten,
	}
}

func shownOf(d tags.Dialect, plan tags.Plan) []Shown {
	var shown []Shown
	for _, e := range plan.Entries {
		tag, err := d.Parse(e.Name)
		shown = append(shown, Shown{Name: e.Name, Source: e.Source, Present: e.Present && (err != nil || !slices.Contains(plan.Edit.Remove, tag.Key))})
	}
	return shown
}

// overrule notes which tags of rules a person does not want, and ends that for those that a person declares.
func overrule(o *object, r Reading) {
	o.status.overruled = maps.Clone(o.status.overruled)
	for _, name := range r.Requested {
		if o.rules[name] {
			o.status.overruled[name] = true
		}
	}
	for _, name := range slices.Concat(r.Declared, sorted(o.spec)) {
		delete(o.status.overruled, name)
	}
}

// pass is one reconciliation, in the order that the package asks for.
func (w *world) pass(from stored, look tags.Set, dies string) error {
	o := from.object
	in := w.mirrorInput(o, look)
	r := Read(in)
	w.trace = append(w.trace, fmt.Sprintf("pass (%d of %d, dies after %q) on %v of %v: labels %v, wrote %v, status %+v: %+v", from.version, w.version, dies, look, w.run,
		o.labels, sorted(o.wrote), o.status, r))
	if r.Wiped {
		_, err := w.writeLabels(from.version, o.labels, Merge(o.labels, r.Restored))
		return err
	}
	overrule(&o, r)
	plan := tags.Make(w.planInput(o, r, look))
	shown := shownOf(w.dialect, plan)
	labels := Merge(o.labels, Labels(in, r, shown))
	ok, err := w.writeLabels(from.version, o.labels, labels)
	if !ok || dies == "labels" {
		return err
	}
	version := from.version
	if ok && len(Patch(w.withIdentity(labels), o.labels)) > 0 {
		version++
	}
	o.status.seen, o.status.entries, o.status.record = true, Record(in, r, shown, labels), plan.Record
	if !w.writeStatus(version, o.status) {
		return nil
	}
	for name, known := range w.off {
		if known && o.policy < tags.Merge && !o.declares(name) {
			key := w.tag(name).Key
			w.let[name], w.was[key+"="+w.run[key]] = true, true // as foreign as any from now on
			delete(w.put, key)
		}
	}
	w.off = map[string]bool{}
	if dies == "status" {
		w.nameEntered(plan.Entered)
		return nil
	}
	return w.writeRun(o, r, plan, dies)
}

func (o object) declares(name string) bool {
	return o.spec[name] || o.rules[name] && !o.status.overruled[name]
}

// writeRun plans once more with the run as it is now, and writes to it.
func (w *world) writeRun(o object, r Reading, plan tags.Plan, dies string) error {
	version, before := w.version, maps.Clone(w.run)
	sent := tags.Make(w.planInput(o, r, before))
	if !o.status.record.Authorizes(sent.Record) {
		o.status.record = plan.Unsent()
		w.writeStatus(version, o.status)
		return nil
	}
	if err := w.edit(sent); err != nil || dies == "tracker" {
		w.nameEntered(plan.Entered)
		return err
	}
	o.status.record = plan.Settled(before, w.dialect)
	for _, a := range o.status.record.Applied {
		if slices.Contains(plan.Entered, a.Name) {
			w.nameEntered([]string{a.Name})
		}
	}
	w.writeStatus(version, o.status)
	return nil
}

// nameEntered: what a rule put there, or may have, is ours to take off.
func (w *world) nameEntered(names []string) {
	for _, name := range names {
		w.named[name] = true
	}
}

// edit changes the run, and checks that it harms nobody.
func (w *world) edit(plan tags.Plan) error {
	changed := slices.Concat(slices.Collect(maps.Keys(plan.Edit.Set)), plan.Edit.Remove)
	for _, key := range changed {
		raw, there := w.run[key]
		after, stays := plan.Edit.Set[key]
		name, written := w.dialect.FormatRaw(key, raw), w.dialect.FormatRaw(key, after)
		isAdd := stays && slices.ContainsFunc(plan.Record.Applied, func(a tags.Applied) bool { return a.Name == written })
		switch {
		case isAdd && !w.named[written] && !slices.Contains(plan.Entered, written) && !w.object.rules[written]:
			return fmt.Errorf("%q is written, and no person named it", written)
		case !isAdd && there && !w.named[name] && !w.named["exclude "+key]:
			return fmt.Errorf("foreign %q is taken off", name)
		case !isAdd && there && w.let[name] && !w.named["exclude "+key]:
			return fmt.Errorf("%q was let go while the policy removed nothing, and is taken off", name)
		case !isAdd && stays && !w.was[key+"="+after]:
			return fmt.Errorf("%q comes back as %q, which nobody but we wrote", key, after)
		}
		if isAdd {
			w.put[key] = true
			delete(w.let, written) // whoever wants it back
		} else {
			delete(w.put, key)
		}
	}
	if len(changed) > 0 {
		w.run, w.writes, w.looks = w.run.Apply(plan.Edit), w.writes+1, nil
	}
	return nil
}

func (w *world) withIdentity(labels map[string]string) map[string]string {
	labels = maps.Clone(labels)
	labels[Project] = "p"
	return labels
}

// writeLabels patches the labels, unless the object changed since it was read, and checks whose labels change.
func (w *world) writeLabels(version int, now, want map[string]string) (bool, error) {
	patch := Patch(w.withIdentity(want), now)
	if len(patch) == 0 {
		return true, nil
	}
	if version != w.version {
		return false, nil
	}
	for key, text := range patch {
		if w.theirs[key] {
			return false, fmt.Errorf("label %s=%s is a person's, and becomes %v", key, w.object.labels[key], text)
		}
		if text == nil {
			delete(w.object.labels, key)
			delete(w.object.wrote, key)
			continue
		}
		w.object.labels[key], w.object.wrote[key] = text.(string), true
	}
	w.version, w.writes = w.version+1, w.writes+1
	return true, nil
}

// writeStatus writes the status, unless the object changed since it was read.
func (w *world) writeStatus(version int, s status) bool {
	if version != w.version {
		return false
	}
	now := w.object.status
	if now.seen != s.seen || !now.record.Equal(s.record) || !maps.Equal(now.overruled, s.overruled) || !cmp.Equal(now.entries, s.entries) {
		w.object.status, w.version, w.writes = s, w.version+1, w.writes+1
	}
	return true
}

// atRest checks what has to be true in the end.
func (w *world) atRest() error {
	o := w.object
	r := Read(w.mirrorInput(o, w.run))
	if len(r.Requested)+len(r.Forgotten)+len(r.Returning) > 0 {
		return fmt.Errorf("at rest and still reading %+v", r)
	}
	for _, name := range sorted(w.declared) {
		if !slices.Contains(r.Declared, name) {
			return fmt.Errorf("%q was declared by a label, and is not in %v", name, r.Declared)
		}
	}
	for _, name := range r.Declared {
		if !w.declared[name] {
			return fmt.Errorf("%q is declared by a label, and no person did", name)
		}
	}
	plan := tags.Make(w.planInput(o, r, w.run))
	present, wanted := map[string]bool{}, map[string]bool{}
	for _, e := range plan.Entries {
		present[e.Name] = e.Present
		wanted[w.tag(e.Name).Key] = wanted[w.tag(e.Name).Key] || e.Source != tags.Run
		if !e.Present && e.Source != tags.Run && o.policy >= tags.Merge {
			return fmt.Errorf("%q is declared and not on the run %v", e.Name, w.run)
		}
	}
	for _, rejected := range plan.Rejected { // two values for one key: the run stays as it is
		wanted[w.tag(rejected.Name).Key] = true
	}
	for key := range w.put {
		if o.policy >= tags.Merge && !wanted[key] {
			return fmt.Errorf("%q was put there by us, is declared by nobody and still on the run %v", key, w.run)
		}
	}
	return w.isMirrored(present, r)
}

// isMirrored checks that what is on the run has a label, but where a person's is in the way, and that every label that
// stands for a tag is a person's or stands for one that is on the run.
func (w *world) isMirrored(present map[string]bool, r Reading) error {
	for _, name := range sorted(present) {
		if key, _, _ := keyOf(w.dialect, name); !IsShown(w.dialect, name, w.object.labels) && !r.theirs[key] {
			return fmt.Errorf("%q is on the run, and not among the labels %v", name, w.object.labels)
		}
	}
	for key, text := range w.object.labels {
		if name, ok := NameOf(key, text); IsMirror(key) && !r.theirs[key] && (!ok || !present[name]) {
			return fmt.Errorf("label %s=%s stands for nothing on the run %v", key, text, w.run)
		}
	}
	return nil
}

package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/terminal"
)

// bulk makes a TagChange for runs of the tracker: it has them counted, asks, has them changed, and follows that.
type bulk struct {
	*session
	*changing
	change *v1alpha1.TagChange
}

// newChange is a TagChange that only counts as yet. Its name begins with this.
func (s *session) newChange(name, project string) *v1alpha1.TagChange {
	change := &v1alpha1.TagChange{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, GenerateName: objectName(name) + "-"},
		Spec:       v1alpha1.TagChangeSpec{ProjectRef: v1alpha1.ProjectReference{Name: project}},
	}
	change.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("TagChange"))
	return change
}

// maxGenerated leaves room for what the API server adds, and for the names of ConfigMaps.
const maxGenerated = 50

// objectName makes a text a name of an object, as far as that goes.
func objectName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return strings.Trim(name[:min(len(name), maxGenerated)], "-")
}

// run does all of it.
func (b bulk) run(ctx context.Context) error {
	switch {
	case b.wait && b.dryRun != "none":
		return usagef("--wait and --dry-run can't be taken together")
	case b.dryRun == "client":
		return b.showManifest()
	case b.dryRun == "none" && !b.yes && !terminal.IsTerminal(b.In):
		return usagef("runs of the tracker are changed only if somebody agrees: take --yes, or --dry-run to see what would change")
	}
	if err := b.client.Create(ctx, b.change, client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("make a TagChange for project %s: %w", b.change.Spec.ProjectRef.Name, err)
	}
	if b.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, b.timeout, errTimeout)
		defer cancel()
	}
	agreed, err := b.agree(ctx)
	if agreed {
		err = b.apply(ctx)
	} else {
		b.discardChange(ctx, b.change)
	}
	if err != nil && errors.Is(context.Cause(ctx), errTimeout) && !errors.Is(err, errTimeout) { // in the midst of a request
		return fmt.Errorf("%w: %w", errTimeout, err)
	}
	return err
}

// agree has the runs counted, and says whether they are to be changed: there are some, and somebody wants it.
func (b bulk) agree(ctx context.Context) (bool, error) {
	if err := b.count(ctx); err != nil {
		return false, err
	}
	switch st := b.change.Status; {
	case b.dryRun == "server":
		return false, b.print()
	case number(st.Planned) == 0 && len(st.Skipped) > 0:
		return false, errNothing
	case number(st.Planned) == 0:
		return false, b.print()
	case b.yes:
		return true, nil
	}
	return b.ask(ctx)
}

func (b bulk) print() error {
	if !b.objects() {
		return nil
	}
	return b.output.print(b.session, []client.Object{b.change}, true)
}

// showManifest shows the TagChange that would be made.
func (b bulk) showManifest() error {
	o := b.output
	if !o.objects() {
		o.format = "yaml"
	}
	return o.print(b.session, []client.Object{b.change}, true)
}

// discardChange deletes a TagChange that nobody needs any more, also if the command was interrupted.
func (s *session) discardChange(ctx context.Context, change *v1alpha1.TagChange) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), discardTime)
	defer cancel()
	if err := client.IgnoreNotFound(s.client.Delete(ctx, change)); err != nil {
		fmt.Fprintf(s.ErrOut, "TagChange %s is left, and does nothing; delete it: %s\n", change.Name, err)
	}
}

// follow watches the TagChange until it has come to where it should, and says what it waits for.
func (s *session) follow(ctx context.Context, change *v1alpha1.TagChange, bar *terminal.Bar, arrived func(*v1alpha1.TagChange, metav1.Condition) bool) error {
	said := ""
	options := []client.ListOption{client.InNamespace(change.Namespace), client.MatchingFields{"metadata.name": change.Name}}
	err := s.until(ctx, &v1alpha1.TagChangeList{}, options, func(object client.Object, gone bool) (bool, error) {
		now, ok := object.(*v1alpha1.TagChange)
		if !ok || now.UID != change.UID {
			return false, nil
		}
		if gone {
			return false, fmt.Errorf("TagChange %s was deleted, which stops it: %s were dealt with", change.Name, nRuns(now.Status.Done))
		}
		*change = *now
		ready := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || now.Status.ObservedGeneration < now.Generation {
			return false, nil
		}
		if planned := now.Status.Planned; planned != nil && now.Status.StartedAt != nil {
			bar.Set(int(now.Status.Done), int(*planned))
		}
		if arrived(now, *ready) {
			return true, nil
		}
		if text := ready.Reason + ": " + ready.Message; waits(ready.Reason) && text != said {
			said = text
			bar.Above(func() { fmt.Fprintln(s.ErrOut, "waiting:", text) })
		}
		return false, nil
	})
	bar.Clear()
	if errors.Is(err, errTimeout) {
		return fmt.Errorf("%w: %s", errTimeout, readiness(change.Status.Conditions))
	}
	return err
}

// waits says whether a reason is worth telling: anything but plain work.
func waits(reason string) bool {
	return reason != v1alpha1.ReasonListing && reason != v1alpha1.ReasonChanging && reason != v1alpha1.ReasonCounted
}

// count has the runs counted and says what would change.
func (b bulk) count(ctx context.Context) error {
	bar := terminal.NewBar(b.errTerminal(), "runs", 0)
	err := b.follow(ctx, b.change, bar, func(c *v1alpha1.TagChange, ready metav1.Condition) bool {
		return ready.Reason == v1alpha1.ReasonCounted || isOver(c)
	})
	if err != nil {
		return err
	}
	if err := failure(b.change); err != nil {
		return err
	}
	st := b.change.Status
	text := nRuns(number(st.Matched))
	if b.change.Spec.Select != nil {
		mirrored, err := b.mirrored(ctx)
		if err != nil {
			return err
		}
		text += fmt.Sprintf(", %d of them mirrored", mirrored)
	}
	if err := say(b.ErrOut, "%s; tags of %s would change", text, nRuns(number(st.Planned))); err != nil {
		return err
	}
	return b.saySkipped()
}

// mirrored counts the TrainingRuns of the project that are, by their status, among the runs that are selected.
func (b bulk) mirrored(ctx context.Context) (int, error) {
	name := b.change.Spec.ProjectRef.Name
	p, err := b.session.project(ctx, b.namespace, name)
	if err != nil {
		return 0, err
	}
	tracked, err := b.list(ctx, &selection{fields: "spec.projectRef.name=" + escapeField(name)})
	ids := map[string]bool{}
	for i := range tracked {
		if id := runID(&tracked[i]); id != "" && matches(p.dialect, &tracked[i], b.change.Spec.Select) {
			ids[id] = true
		}
	}
	return len(ids), err
}

func (b bulk) saySkipped() error {
	for _, skipped := range b.change.Status.Skipped {
		text := skipped.Message
		if text == "" {
			text = skipped.Reason
		}
		more := ""
		if int(skipped.Count) > len(skipped.Sample) {
			more = ", …"
		}
		if err := say(b.ErrOut, "  left alone on %d: %s (%s%s)", skipped.Count, text, strings.Join(skipped.Sample, ", "), more); err != nil {
			return err
		}
	}
	return nil
}

// ask asks the person. Only a yes is one; all else is an error, which says that nothing was changed.
func (b bulk) ask(ctx context.Context) (bool, error) {
	if _, err := fmt.Fprintf(b.ErrOut, "Change them? [y/N] "); err != nil {
		return false, fmt.Errorf("ask: %w", err)
	}
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(b.In).ReadString('\n')
		if err != nil {
			line = ""
		}
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case text := <-answer:
		if text == "y" || text == "yes" {
			return true, nil
		}
		return false, errDeclined
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// apply has the change made, and follows it.
func (b bulk) apply(ctx context.Context) error {
	name := b.change.Name
	if err := b.client.Patch(ctx, b.change, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"apply":true}}`)), client.FieldOwner(FieldManager)); err != nil {
		return fmt.Errorf("apply TagChange %s: %w", name, err)
	}
	bar := terminal.NewBar(b.errTerminal(), "runs", int(number(b.change.Status.Planned)))
	err := b.follow(ctx, b.change, bar, func(c *v1alpha1.TagChange, _ metav1.Condition) bool { return isOver(c) })
	if ctx.Err() != nil {
		fmt.Fprintf(b.ErrOut, "TagChange %s goes on without this command; see it: kubectl get tchg %s -n %s -w; stop it: kubectl delete tchg %s -n %s\n",
			name, name, b.namespace, name, b.namespace)
	}
	if err != nil {
		return err
	}
	if err := failure(b.change); err != nil {
		return err
	}
	st := b.change.Status
	if b.objects() {
		err = b.print()
	} else {
		err = say(b.Out, "tags of %s changed by TagChange %s; take it back: kubectl runtag undo %s -n %s", nRuns(number(st.Changed)), name, name, b.namespace)
	}
	if err != nil || len(st.Skipped) == 0 {
		return err
	}
	if err := b.saySkipped(); err != nil {
		return err
	}
	return errPartly
}

// isOver says whether nothing more is done for a TagChange.
func isOver(c *v1alpha1.TagChange) bool {
	return meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionComplete) ||
		meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionStalled)
}

// failure says why a TagChange that is over came to nothing, and what to do.
func failure(c *v1alpha1.TagChange) error {
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil || ready.Status == metav1.ConditionTrue:
		return nil
	case ready.Reason == v1alpha1.ReasonTooManyRuns:
		return fmt.Errorf("%s match, and --max-runs is %d: nothing was done; select fewer, or take --max-runs %d",
			nRuns(number(c.Status.Matched)), c.Spec.MaxRuns, number(c.Status.Matched))
	}
	return fmt.Errorf("TagChange %s: %s: %s", c.Name, ready.Reason, ready.Message)
}

// nRuns counts runs in words.
func nRuns[N int | int32](n N) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}

func number(n *int32) int32 {
	if n == nil {
		return 0
	}
	return *n
}

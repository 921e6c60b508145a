package plugin_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/bulk"
	"github.com/runtag/runtag/internal/kstatus"
)

// operate plays the operator in a scene until the test is over: it answers every change of an object that a function
// knows what to make of.
func operate[L client.ObjectList, O client.Object](c *scene, empty L, answer func(context.Context, O) error) {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	watcher, err := c.client.Watch(ctx, empty, client.InNamespace(c.namespace))
	if err != nil {
		cancel()
		c.t.Fatal(err)
	}
	var group sync.WaitGroup
	group.Go(func() {
		for event := range watcher.ResultChan() {
			object, ok := event.Object.(O)
			if !ok || event.Type == watch.Deleted {
				continue
			}
			err := answer(ctx, object)
			if err != nil && ctx.Err() == nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) {
				c.t.Errorf("the operator of the test: %v", err)
			}
		}
	})
	c.t.Cleanup(func() {
		cancel()
		watcher.Stop()
		group.Wait()
	})
}

// land answers edits of TrainingRuns: labels that people set are tags on the run, and all others are not.
func (c *scene) land() {
	operate(c, &v1alpha1.TrainingRunList{}, func(ctx context.Context, r *v1alpha1.TrainingRun) error {
		hash := fmt.Sprint(r.Labels, r.Annotations, r.Spec.Tags)
		if r.Status.ObservedDeclarations == hash {
			return nil
		}
		r.Status.ObservedDeclarations, r.Status.Tags = hash, nil
		for key, value := range r.Labels {
			if name, ok := strings.CutPrefix(key, "tag.runtag.dev/"); ok {
				source := v1alpha1.TagSourceLabel
				if value != "" {
					source = v1alpha1.TagSourceRun
				}
				r.Status.Tags = append(r.Status.Tags, v1alpha1.TagStatus{Name: name, Source: source, Since: metav1.NewTime(now), Present: true, Mirrored: true})
			}
		}
		return c.client.Status().Update(ctx, r)
	})
}

// changes answers TagChanges: runs match, and some of them are skipped. It keeps what it was asked for.
type changes struct {
	*scene
	matched, planned int32
	skipped          []v1alpha1.SkippedRuns
	refuse           kstatus.State
	matches          []bulk.Match
	// begun is called, if it is there, instead of making a change that is to be applied.
	begun func()

	mu    sync.Mutex
	specs []v1alpha1.TagChangeSpec
}

func (h *changes) start() {
	operate(h.scene, &v1alpha1.TagChangeList{}, h.answer)
}

func (h *changes) asked() []v1alpha1.TagChangeSpec {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.specs
}

func (h *changes) answer(ctx context.Context, c *v1alpha1.TagChange) error {
	st := &c.Status
	if st.FinishedAt != nil || st.ObservedGeneration == c.Generation {
		return nil
	}
	h.mu.Lock()
	h.specs = append(h.specs, c.Spec)
	h.mu.Unlock()
	state := kstatus.State{Ready: metav1.ConditionTrue, Reason: v1alpha1.ReasonCounted, Message: "counted"}
	st.ObservedGeneration, st.Matched, st.Skipped = c.Generation, &h.matched, h.skipped
	query := c.Spec.UndoOf == nil && len(c.Spec.Add)+len(c.Spec.Remove)+len(c.Spec.Rename) == 0
	finished := metav1.NewTime(now)
	switch {
	case h.refuse.Reason != "":
		state, st.FinishedAt = h.refuse, &finished
	case query:
		state.Reason, st.FinishedAt = v1alpha1.ReasonQueried, &finished
		for i, page := range bulk.MatchPages(h.matches) {
			m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: fmt.Sprintf("%s-matches-%03d", c.Name, i)}, Data: map[string]string{"runs": page}}
			if err := h.client.Create(ctx, m); err != nil {
				return err
			}
			st.Matches = append(st.Matches, m.Name)
		}
	case !c.Spec.Apply:
		st.Planned = &h.planned
	case h.begun != nil:
		h.begun()
		state = kstatus.State{Ready: metav1.ConditionFalse, Reason: v1alpha1.ReasonRateLimited, Message: "the tracker asks to wait"}
	default:
		state.Reason, st.StartedAt, st.FinishedAt, st.Changed, st.Done = v1alpha1.ReasonChanged, &finished, &finished, &h.planned, h.matched
	}
	kstatus.Set(&st.Conditions, c.Generation, state)
	complete := metav1.Condition{Type: v1alpha1.ConditionComplete, Status: metav1.ConditionFalse, Reason: state.Reason, LastTransitionTime: finished}
	if st.FinishedAt != nil {
		complete.Status = metav1.ConditionTrue
	}
	meta.SetStatusCondition(&st.Conditions, complete)
	return h.client.Status().Update(ctx, c)
}

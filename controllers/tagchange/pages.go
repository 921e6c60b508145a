package tagchange

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/bulk"
)

// pageKey is the key of a ConfigMap's data: one entry or match a line, as JSON.
const pageKey = "runs"

// takenError says that a ConfigMap of this name is there and is somebody else's.
type takenError struct {
	configMap string
	change    types.NamespacedName
}

func (e *takenError) Error() string {
	return fmt.Sprintf("ConfigMap %s is there already and is not of TagChange %s, which writes down there what it does: "+
		"delete that ConfigMap, or make a TagChange of another name", e.configMap, e.change)
}

// page is a ConfigMap as it is stored.
type page struct {
	name    string
	entries []bulk.Entry
}

// putPage creates or replaces a ConfigMap of the object.
func (c *Controller) putPage(ctx context.Context, s *scope, p *page, text string) error {
	m := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.change.Namespace, Name: p.name}, Data: map[string]string{pageKey: text}}
	if err := controllerutil.SetControllerReference(s.change, m, c.Client.Scheme()); err != nil {
		return fmt.Errorf("make ConfigMap %s: %w", p.name, err)
	}
	err := c.Client.Create(ctx, m, client.DisableReadYourWritesConsistency) // ConfigMaps are not cached
	if apierrors.IsAlreadyExists(err) {
		there := &corev1.ConfigMap{}
		if err := c.Live.Get(ctx, client.ObjectKeyFromObject(m), there); err != nil {
			return fmt.Errorf("get ConfigMap %s: %w", p.name, err)
		}
		if !metav1.IsControlledBy(there, s.change) {
			left, err := c.leftBehind(ctx, s, there)
			if err != nil {
				return err
			}
			if !left {
				return &takenError{configMap: p.name, change: s.key()}
			}
		}
		m.ResourceVersion = there.ResourceVersion
		err = c.Client.Update(ctx, m, client.DisableReadYourWritesConsistency)
	}
	if err != nil {
		return fmt.Errorf("write ConfigMap %s: %w", p.name, err)
	}
	return nil
}

// leftBehind says whether a ConfigMap is of a TagChange of the same name that was deleted, and is going to be collected. The
// cache may be old, and ours the one that was deleted.
func (c *Controller) leftBehind(ctx context.Context, s *scope, m *corev1.ConfigMap) (bool, error) {
	owner := metav1.GetControllerOf(m)
	if owner == nil || owner.Kind != "TagChange" || owner.APIVersion != v1alpha1.GroupVersion.String() || owner.Name != s.change.Name {
		return false, nil
	}
	now := &v1alpha1.TagChange{}
	if err := c.Live.Get(ctx, s.key(), now); err != nil {
		return false, fmt.Errorf("get TagChange %s: %w", s.key(), err)
	}
	return now.UID == s.change.UID, nil
}

// writeDown adds what is going to be done to the ConfigMaps of status.undo, and takes out what came to nothing.
func (c *Controller) writeDown(ctx context.Context, s *scope, fresh []bulk.Entry) error {
	m := s.memory
	if len(fresh) == 0 && len(m.void) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(m.page.entries), func(e bulk.Entry) bool { return m.void[e.ID] })
	pages := bulk.EntryPages(append(kept, fresh...))
	if len(pages) == 0 {
		pages = []string{""}
	}
	if m.page.name == "" {
		m.page.name = undoName(s.change, 0)
	}
	first := slices.Index(s.change.Status.Undo, m.page.name)
	if first < 0 {
		first = len(s.change.Status.Undo)
	}
	for i, text := range pages {
		p := page{name: undoName(s.change, first+i)}
		if err := c.putPage(ctx, s, &p, text); err != nil {
			return err
		}
		if !slices.Contains(s.change.Status.Undo, p.name) {
			s.change.Status.Undo = append(s.change.Status.Undo, p.name)
		}
		if i == len(pages)-1 {
			entries, err := bulk.ParseEntries(text)
			if err != nil {
				return err
			}
			m.page = page{name: p.name, entries: entries}
		}
	}
	m.void = nil
	return nil
}

func undoName(change *v1alpha1.TagChange, i int) string {
	return pageName(change, "undo", i)
}

// pageName is the name of a ConfigMap. That of the object may be as long as one may be; then a hash stands for its end.
func pageName(change *v1alpha1.TagChange, kind string, i int) string {
	name := change.Name
	if len(name) > mostName {
		hash := fnv.New64a()
		_, _ = hash.Write([]byte(name))
		name = fmt.Sprintf("%s-%016x", strings.TrimRight(name[:mostName-17], "-."), hash.Sum64())
	}
	return fmt.Sprintf("%s-%s-%03d", name, kind, i)
}

// mostName leaves room for what pageName adds.
const mostName = 230

// readUndo reads the entries of a TagChange, those written last first where a run has several.
func (c *Controller) readUndo(ctx context.Context, change *v1alpha1.TagChange) ([]bulk.Entry, page, error) {
	var all []bulk.Entry
	var last page
	for _, name := range change.Status.Undo {
		m := &corev1.ConfigMap{}
		if err := c.Live.Get(ctx, types.NamespacedName{Namespace: change.Namespace, Name: name}, m); err != nil {
			return nil, last, fmt.Errorf("get ConfigMap %s of TagChange %s: %w", name, change.Name, err)
		}
		entries, err := bulk.ParseEntries(m.Data[pageKey])
		if err != nil {
			return nil, last, fmt.Errorf("read ConfigMap %s of TagChange %s: %w", name, change.Name, err)
		}
		all, last = append(all, entries...), page{name: name, entries: entries}
	}
	return all, last, nil
}

// resume takes up a change that an earlier operator began: what is written down was sent, or was going to be.
func (c *Controller) resume(ctx context.Context, s *scope) error {
	if s.change.Status.StartedAt == nil {
		return nil
	}
	entries, last, err := c.readUndo(ctx, s.change)
	if err != nil {
		return err
	}
	written := make(map[string]bool, len(entries))
	for _, e := range entries {
		written[e.ID] = true
	}
	m := s.memory
	m.page = last
	m.todo = slices.DeleteFunc(m.todo, func(it item) bool { return written[it.run.ID] })
	m.again = entries
	// All that is written down is looked at once more and counts then; what was done before is found done.
	st := &s.change.Status
	st.Changed, st.Done = count(0), 0
	st.Skipped, st.Sample = nil, nil
	st.Planned = count(s.left())
	return nil
}

// listUndo lists what another TagChange did, to take it back.
func (c *Controller) listUndo(ctx context.Context, s *scope) (bool, error) {
	other := &v1alpha1.TagChange{}
	name := s.change.Spec.UndoOf.Name
	switch err := c.Client.Get(ctx, types.NamespacedName{Namespace: s.change.Namespace, Name: name}, other); {
	case apierrors.IsNotFound(err):
		s.refused(v1alpha1.ReasonUndoMissing, "there is no TagChange %s: what it changed is known no more", name)
		return true, nil
	case err != nil:
		return false, fmt.Errorf("get TagChange %s: %w", name, err)
	}
	switch {
	case other.Spec.ProjectRef != s.change.Spec.ProjectRef:
		s.refused(v1alpha1.ReasonUndoMissing, "TagChange %s is about project %s: use the same projectRef", name, other.Spec.ProjectRef.Name)
		return true, nil
	case other.Status.StartedAt != nil && other.Status.FinishedAt == nil:
		s.wait(v1alpha1.ReasonWaitingForTurn, fmt.Sprintf("TagChange %s is not finished yet", name), askAgain)
		return true, nil
	}
	entries, _, err := c.readUndo(ctx, other)
	if apierrors.IsNotFound(err) {
		s.refused(v1alpha1.ReasonUndoMissing, "%s", err)
		return true, nil
	}
	if err != nil {
		return false, err
	}
	m := s.memory
	for _, e := range entries {
		back := e.Reverse()
		m.todo = append(m.todo, item{run: e.Run(), entry: &back})
	}
	m.matched, m.listed = len(entries), true
	return false, nil
}

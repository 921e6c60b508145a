package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/test/bench/report"
)

// writeRate is row 7: the writes to the API server in the crowd's change, people's edits included, against a bare client
// that makes as many of the same kinds, with as many at once.
func writeRate(ctx context.Context, b *bench) (report.Row, error) {
	c, err := b.theCrowd(ctx)
	if err != nil {
		return report.Row{}, err
	}
	if err := c.stopManager(); err != nil {
		return report.Row{}, err
	}
	took, made, err := c.writeBare(ctx)
	if err != nil {
		return report.Row{}, err
	}
	edits := float64(c.n)
	own := c.changed.writes - edits
	rate, bare := c.changed.writes/c.changed.took.Seconds(), made/took.Seconds()
	return report.Row{
		Checks: []report.Check{
			report.AtLeast("writes per second against a bare client", 100*rate/bare, 50, "%"),
			report.AtMost("writes of the manager per changed object", own/edits, 3, ""),
		},
		Figures: []report.Figure{
			{What: "writes in the change, the edits included", Value: c.changed.writes},
			{What: "time of the change, from the first edit to the last write", Value: c.changed.took.Seconds(), Unit: "s"},
			{What: "writes per second in the change", Value: rate, Unit: "1/s"},
			{What: "writes per second by a bare client", Value: bare, Unit: "1/s"},
			{What: "processor time of the manager", Value: c.changed.cpu, Unit: "s"},
			{What: "requests to the tracker", Value: float64(c.changed.requests)},
		},
		Notes: []string{fmt.Sprintf("A label on each of %d objects, by %d editors at once; each of their runs gets a tag. Writes that the API server saw: %s. "+
			"The bare client makes the same writes to a quarter of the objects, with %d at once and nobody watching; API server, etcd, manager, tracker and editors share the machine.",
			c.n, editors, counts(c.changed.by), editors+managerWorkers)},
	}, nil
}

// writeBare makes as many writes of each kind as the change was per object, to a quarter of the same objects.
func (c *crowd) writeBare(ctx context.Context) (took time.Duration, made float64, err error) {
	var list v1alpha1.TrainingRunList
	if err := c.Admin.List(ctx, &list, client.InNamespace(crowdProject)); err != nil {
		return 0, 0, err
	}
	per := func(kinds ...string) int {
		sum := 0.0
		for _, kind := range kinds {
			sum += c.changed.by[kind]
		}
		return int(sum/float64(c.n) + 0.5)
	}
	labels, statuses, events := per("trainingruns"), per("trainingruns/status"), per("events")
	before, err := c.writes(ctx)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := each(ctx, max(1, len(list.Items)/4), editors+managerWorkers, func(ctx context.Context, i int) error {
		run := &list.Items[i]
		for k := range labels {
			patch := fmt.Sprintf(`{"metadata":{"labels":{"tag.runtag.dev/bare-%d":""}}}`, k)
			if err := c.Admin.Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
				return err
			}
		}
		for k := range statuses {
			patch := statusPatch(run.ResourceVersion, began.Add(time.Duration(k)*time.Minute).UTC().Format(time.RFC3339), crowdTag)
			if err := c.Admin.Status().Patch(ctx, run, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
				return err
			}
		}
		for k := range events {
			if err := c.Admin.Create(ctx, event(run, k)); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return 0, 0, fmt.Errorf("a bare client's writes: %w", err)
	}
	took = time.Since(began)
	after, err := c.writes(ctx)
	if err != nil {
		return 0, 0, err
	}
	_, made = since(before, after)
	return took, made, nil
}

// event is like those of the manager.
func event(run *v1alpha1.TrainingRun, k int) *eventsv1.Event {
	return &eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Name: fmt.Sprintf("%s.bare-%d", run.Name, k), Namespace: run.Namespace},
		EventTime:           metav1.NowMicro(),
		ReportingController: "bench", ReportingInstance: "bench-0", Action: "Tag", Reason: "TagsAdded", Type: corev1.EventTypeNormal,
		Note:      "added " + crowdTag,
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "TrainingRun", Namespace: run.Namespace, Name: run.Name, UID: run.UID},
	}
}

// Package ruleinput gives rules the world as they read it, from what the status of a TrainingRun says and what was seen of
// pods: one code for the operator, and for whoever tries a rule out.
package ruleinput

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/binding"
	"github.com/runtag/runtag/internal/evidence"
	"github.com/runtag/runtag/internal/mirror"
	"github.com/runtag/runtag/internal/rules"
	"github.com/runtag/runtag/internal/tags"
)

// The kinds of trackers, as variables in pods tell them apart.
const (
	TrackerWandb  = "wandb"
	TrackerMLflow = "mlflow"
)

// Locate writes into a run where its project is.
func Locate(b *binding.Run, project *v1alpha1.TrackingProject) {
	switch w, m := project.Spec.Wandb, project.Spec.MLflow; {
	case w != nil:
		b.Tracker, b.URL, b.Entity, b.Project = TrackerWandb, w.BaseURL, w.Entity, w.Project
	case m != nil:
		b.Tracker, b.URL = TrackerMLflow, m.TrackingURI
	}
}

// KnownLinks are the links that a status remembers.
func KnownLinks(pods []v1alpha1.PodLink) []binding.Link {
	links := make([]binding.Link, 0, len(pods))
	for _, p := range pods {
		links = append(links, binding.Link{
			Pod: types.UID(p.UID), Name: p.Name, Node: p.Node, By: binding.By(p.BoundBy), From: p.From.Time, Until: timeOf(p.Until),
		})
	}
	return links
}

// Facts are what rules read of a run.
func Facts(run *v1alpha1.RunStatus, summary map[string]float64) rules.Facts {
	return rules.Facts{
		ID: run.ID, UID: run.UID, DisplayName: run.DisplayName, State: run.State, URL: run.URL, Host: run.Host, User: run.User, Group: run.Group,
		JobType: run.JobType, CreatedAt: timeOf(run.CreatedAt), FinishedAt: timeOf(run.FinishedAt), Attempts: int(run.Attempts), Summary: summary,
	}
}

// Labels are an object's labels without those of tags that rules caused: byOthers are the tags that are no work of theirs.
func Labels(d tags.Dialect, of map[string]string, byOthers []string) map[string]string {
	labels := make(map[string]string, len(of))
	for key, text := range of {
		if !mirror.IsMirror(key) {
			labels[key] = text
		}
	}
	for _, name := range byOthers {
		tag, err := d.Parse(name)
		if err != nil {
			continue
		}
		if key, ok := mirror.Key(d, tag); ok {
			labels[key] = tag.Value
		}
	}
	return labels
}

// Pods are the linked pods of which something is known, in the order of the links, and the Workloads that stand for them.
func Pods(store *evidence.Store, links []binding.Link) (linked []rules.Linked, workloads []*evidence.Workload) {
	var pods []*evidence.Pod
	for _, link := range links {
		pod := store.Pod(link.Pod)
		if pod == nil {
			continue
		}
		pods = append(pods, pod)
		linked = append(linked, rules.Linked{
			Pod: pod, Node: pod.Node, Direct: link.By != binding.ByGang, Live: link.Until.IsZero() && !pod.Over(), From: link.From, Until: link.Until,
		})
	}
	return linked, store.WorkloadsOfPods(pods...)
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// Package binding finds out which pods belonged to a run, and from when to when. It is pure: it goes by what was seen of
// pods (package evidence) and of the run, and takes the time as a parameter.
package binding

import (
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/runtag/runtag/internal/evidence"
)

// By is the way in which a pod and a run found each other.
type By string

// The ways, the strongest first. The first four are exact: they name the run.
const (
	// ByName: the pod's annotation or label tracking.runtag.dev/run names the TrainingRun.
	ByName By = "Name"
	// ByEnv: a literal environment variable of a container names the run's id.
	ByEnv By = "Env"
	// ByPodUID: the run says which pod made it (MLflow tag runtag.dev/pod-uid).
	ByPodUID By = "PodUID"
	// ByRunID: the label wandb.ai/run-id of the pod or of one of its owners names the run's id.
	ByRunID By = "RunID"
	// BySelector: spec.podSelector of the TrainingRun selects the pod.
	BySelector By = "Selector"
	// ByHost: the run's host is the pod's hostname.
	ByHost By = "Host"
	// ByGang: the pod works together with a pod that belongs to the run in another way.
	ByGang By = "Gang"
)

// Exact says that this way names the run.
func (b By) Exact() bool { return b == ByName || b == ByEnv || b == ByPodUID || b == ByRunID }

// Tolerance is how far times of the tracker and of the cluster may be apart and still be called the same.
const Tolerance = 5 * time.Second

// Link says that a pod belonged to the run, and when.
type Link struct {
	Pod        types.UID
	Name, Node string
	By         By
	From       time.Time
	// Until is zero while the link stands.
	Until time.Time
}

// Holds says that something that happened to the pod at that time happened to the run, as far as clocks can tell.
func (l Link) Holds(at time.Time) bool {
	return !at.Before(l.From.Add(-Tolerance)) && (l.Until.IsZero() || !at.After(l.Until.Add(Tolerance)))
}

// Run is what linking needs to know of a run and of its TrainingRun. Times are by our own clock.
type Run struct {
	// Object is the TrainingRun; its Name is empty for a run that has none yet.
	Object types.NamespacedName
	// Tracker is "wandb" or "mlflow"; URL, Entity and Project (W&B) say where it is, and Experiments is not compared.
	Tracker, URL, Entity, Project string
	ID, UID, Parent               string
	Host                          string
	// PodUID is the pod that the run names as its maker.
	PodUID types.UID
	// CreatedAt is when the run was made; AttemptAt when its present attempt began, zero for the first one.
	CreatedAt, AttemptAt time.Time
	// HeartbeatAt is the last sign of life, where the tracker knows one.
	HeartbeatAt time.Time
	// Active: its process may still be alive, as far as the tracker knows. Done: it ended by itself (finished, failed), at
	// EndedAt. One that is neither was killed or lost, and ends with its pod.
	Active, Done bool
	EndedAt      time.Time
	// Selector is spec.podSelector; nil for none.
	Selector labels.Selector
	// Known are the links found before. They stay, however the run moves on, as long as UID is the same.
	Known []Link
}

// Found is what Links finds.
type Found struct {
	// Links are all there ever were, newest first: by From, then by name.
	Links []Link
	// Ambiguous are the names, in order, of pods that fit and are not linked because the run can have been in one of them
	// only; empty where there is no doubt.
	Ambiguous []string
}

// Pods is where pods are looked up; an evidence.Store with Keys as its index is one. It must have seen all pods that there
// are: one that it does not know is taken for gone. The lists that it gives are the caller's.
type Pods interface {
	// Pod gives a pod by its uid; nil where it was not seen.
	Pod(uid types.UID) *evidence.Pod
	// Indexed gives the pods of a key, in no certain order.
	Indexed(key string) []*evidence.Pod
	// Labelled gives the pods of a namespace with a label that has one of the values, or any where none is given; with no
	// label, all. They are in no certain order.
	Labelled(namespace, label string, values ...string) []*evidence.Pod
}

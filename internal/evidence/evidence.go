// Package evidence keeps what was seen of pods and of the nodes that they ran on. It is a memory and no more: informers
// feed it on every replica, so that what stood for a moment only, such as the condition of a pod that is deleted 10 ms
// later, is there for whoever becomes the leader, and for a run that is found later than its pod.
package evidence

import (
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Condition is a condition of a pod, node or workload.
type Condition struct {
	Type, Status, Reason string
	// At is when the status last changed, by the object itself; where it does not say, when it was first seen so.
	At time.Time
}

// Taint of a node.
type Taint struct {
	Key, Value, Effect string
	// At is when it was put on, by the node itself; where it does not say, when it was first seen.
	At time.Time
}

// Node is one node as it was at some time. It is never changed: another sight of it is another Node.
type Node struct {
	UID                 types.UID
	Name                string
	Labels, Annotations Texts
	Taints              []Taint
	Conditions          []Condition
	// CreatedAt tells it from a later node of the same name.
	CreatedAt time.Time
	// Seen counts up with each change that somebody can read, over everything in a Store.
	Seen uint64
}

// RunRef is a run that a container's environment names.
type RunRef struct {
	// Tracker is "wandb" or "mlflow".
	Tracker string
	ID      string
	// Project, Entity and URL narrow it where they are given: WANDB_PROJECT, WANDB_ENTITY, and WANDB_BASE_URL or
	// MLFLOW_TRACKING_URI.
	Project, Entity, URL string
}

// Owner is an owner of a pod.
type Owner struct {
	APIVersion, Kind, Name string
	UID                    types.UID
	Controller             bool
}

// Pod is one pod as far as links and rules can read it, with all that was seen of it. It is never changed: another sight
// of it is another Pod.
type Pod struct {
	UID                 types.UID
	Namespace, Name     string
	Labels, Annotations Texts
	Owners              []Owner
	NodeName            string
	// Hostname is what a process in the pod finds as its host's name; empty on the host's own network.
	Hostname string
	// Runs are those that literal environment variables of containers and init containers name.
	Runs []RunRef
	// Unreadable are the variables that name a run, WANDB_RUN_ID and MLFLOW_RUN_ID, whose value comes from elsewhere.
	Unreadable    []string
	Phase, Reason string
	// CreatedAt, StartedAt and EndedAt are zero while they are not so. EndedAt is when the last container ended or, where
	// that was never said, when the pod was seen to be over or gone.
	CreatedAt, StartedAt, EndedAt time.Time
	Restarts                      int
	Images                        []string
	// Conditions holds those of the last sight, but for steps on the way to Ready, and of earlier sights each
	// DisruptionTarget and TerminationTarget that was true.
	Conditions []Condition
	// OwnerRuns are ids of runs that a label wandb.ai/run-id of one of its owners names.
	OwnerRuns []string
	// Node is the node as it was seen last while the pod lived; nil while it was not seen.
	Node *Node
	// Seen counts up with each change that somebody can read, over everything in a Store.
	Seen uint64
}

// Over says that the pod has ended.
func (p *Pod) Over() bool { return !p.EndedAt.IsZero() }

// Workload is a Kueue Workload: the quota's side of a job.
type Workload struct {
	UID             types.UID
	Namespace, Name string
	// Owners are the uids of what it stands for: the job, or the pods themselves.
	Owners     []types.UID
	Labels     Texts
	Conditions []Condition
	Seen       uint64
}

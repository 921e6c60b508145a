package binding

import (
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/runtag/runtag/internal/evidence"
)

// What pods carry. The last four say which pods work together: the labels that JobSet, Job (batch/v1), the training
// operator and Volcano put on the pods that they make. Not ray.io/cluster: many runs share a Ray cluster.
const (
	// RunKey is the annotation or label of a pod that names its TrainingRun.
	RunKey = "tracking.runtag.dev/run"
	// RunIDKey is the label of a pod, or of one of its owners, that names a run of W&B by its id; W&B Launch sets it.
	RunIDKey = "wandb.ai/run-id"

	jobSetUID     = "jobset.sigs.k8s.io/jobset-uid"
	jobSetAttempt = "jobset.sigs.k8s.io/restart-attempt"
	jobUID        = "batch.kubernetes.io/controller-uid"
	kubeflowJob   = "training.kubeflow.org/job-name"
	volcanoJob    = "volcano.sh/job-name"
)

// The kinds of trackers, as evidence.RunRef and Run name them.
const (
	wandb  = "wandb"
	mlflow = "mlflow"
)

// The kinds of keys.
const (
	keyName  = "name"
	keyID    = "id"
	keyHost  = "host"
	keyUID   = "uid"
	keyGang  = "gang"
	keyLabel = "label"
)

// key makes a key; a NUL can be in none of the parts.
func key(parts ...string) string { return strings.Join(parts, "\x00") }

// Keys are the keys that a pod is looked up by, for evidence.Options. Its uid is none of them, since Pods has another way
// for that, nor are its labels.
func Keys(p *evidence.Pod) []string { return append(directKeys(p), gangKeys(p)...) }

// directKeys are those that a run has too, if the pod is its own.
func directKeys(p *evidence.Pod) (keys []string) {
	for _, name := range []string{p.Annotations.Get(RunKey), p.Labels.Get(RunKey)} {
		if name != "" {
			keys = append(keys, key(p.Namespace, keyName, name))
		}
	}
	for _, ref := range p.Runs {
		keys = append(keys, key(p.Namespace, keyID, ref.Tracker, ref.ID))
	}
	for _, id := range labelled(p) {
		keys = append(keys, key(p.Namespace, keyID, wandb, id))
	}
	for _, host := range hostsOf(p) {
		keys = append(keys, key(p.Namespace, keyHost, host))
	}
	return keys
}

// hostsOf are what a process in the pod may call its host: the hostname, or the pod's name where WANDB_HOST says so, as
// config/inject has it. They differ for the pods of an Indexed Job or a JobSet, and for long names. On the host's own
// network there is none.
func hostsOf(p *evidence.Pod) []string {
	switch p.Hostname {
	case "":
		return nil
	case p.Name:
		return []string{p.Name}
	}
	return []string{p.Hostname, p.Name}
}

// labelled are the runs of W&B that the pod's own label or those of its owners name.
func labelled(p *evidence.Pod) []string {
	if id := p.Labels.Get(RunIDKey); id != "" {
		return append([]string{id}, p.OwnerRuns...)
	}
	return p.OwnerRuns
}

// gangKeys are shared by the pods that work together.
func gangKeys(p *evidence.Pod) (keys []string) {
	add := func(label string, more ...string) {
		if value := p.Labels.Get(label); value != "" {
			keys = append(keys, key(append([]string{p.Namespace, keyGang, label, value}, more...)...))
		}
	}
	attempt := p.Labels.Get(jobSetAttempt)
	if attempt == "" {
		attempt = p.Annotations.Get(jobSetAttempt)
	}
	add(jobSetUID, attempt)
	add(jobUID)
	add(kubeflowJob)
	add(volcanoJob)
	return keys
}

// RunKeys are the keys that a run is looked up by: one of them is among those of each pod that may be its own.
func RunKeys(run Run) (keys []string) {
	add := func(kind string, parts ...string) {
		if parts[len(parts)-1] != "" {
			keys = append(keys, key(append([]string{run.Object.Namespace, kind}, parts...)...))
		}
	}
	add(keyName, run.Object.Name)
	add(keyID, run.Tracker, run.ID)
	add(keyHost, run.Host)
	add(keyUID, string(run.PodUID))
	for _, l := range run.Known {
		if l.Until.IsZero() || l.By != ByGang { // nothing new can come of the rest, and a gang may be large
			add(keyUID, string(l.Pod))
		}
	}
	if label, values, ok := term(run.Selector); ok {
		if len(values) == 0 {
			keys = append(keys, key(run.Object.Namespace, keyLabel, label))
		}
		for _, value := range values {
			keys = append(keys, key(run.Object.Namespace, keyLabel, label, value))
		}
	}
	return keys
}

// podKeys are all that a pod and its run may share.
func podKeys(p *evidence.Pod) []string {
	keys := append(directKeys(p), key(p.Namespace, keyUID, string(p.UID)), key(p.Namespace, keyLabel, ""))
	for label, value := range p.Labels.All() {
		keys = append(keys, key(p.Namespace, keyLabel, label), key(p.Namespace, keyLabel, label, value))
	}
	return keys
}

// term chooses the part of a selector by which pods are looked up: a label with values, one of which a pod must have, or
// with none, where having the label is enough. A selector that only says what a pod must not have gives no label: every
// pod of the namespace has to be asked. It is false for one that selects nothing.
func term(selector labels.Selector) (label string, values []string, ok bool) {
	if selector == nil {
		return "", nil, false
	}
	requirements, selectable := selector.Requirements()
	if !selectable {
		return "", nil, false
	}
	for _, r := range requirements {
		switch r.Operator() {
		case selection.Equals, selection.DoubleEquals, selection.In:
			if few := r.ValuesUnsorted(); values == nil || len(few) < len(values) {
				label, values = r.Key(), few
			}
		case selection.Exists, selection.GreaterThan, selection.LessThan:
			if label == "" {
				label = r.Key()
			}
		default: // says what must not be
		}
	}
	return label, values, true
}

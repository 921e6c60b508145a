package evidence

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// The variables with which SDKs are told which run to go on with (wandb/env.py, mlflow/environment_variables.py).
const (
	wandbRunID   = "WANDB_RUN_ID"
	wandbProject = "WANDB_PROJECT"
	wandbEntity  = "WANDB_ENTITY"
	wandbURL     = "WANDB_BASE_URL"
	mlflowRunID  = "MLFLOW_RUN_ID"
	mlflowURL    = "MLFLOW_TRACKING_URI"
)

// runs gives the runs that the environments of a pod's containers name, and the variables that would name one if their
// value were written in the pod. What envFrom brings has no name here, so it cannot even be said to be unreadable.
func runs(pod *corev1.Pod) (named []RunRef, unreadable []string) {
	add := func(c corev1.Container) {
		values, hidden := environment(c.Env)
		if id := values[wandbRunID]; id != "" {
			named = append(named, RunRef{"wandb", id, values[wandbProject], values[wandbEntity], values[wandbURL]})
		}
		if id := values[mlflowRunID]; id != "" {
			named = append(named, RunRef{Tracker: "mlflow", ID: id, URL: values[mlflowURL]})
		}
		for _, name := range []string{mlflowRunID, wandbRunID} {
			if hidden[name] {
				unreadable = append(unreadable, name)
			}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		add(c)
	}
	for _, c := range pod.Spec.Containers {
		add(c)
	}
	slices.Sort(unreadable)
	return unique(named), slices.Compact(unreadable)
}

func unique(refs []RunRef) (once []RunRef) {
	for _, ref := range refs {
		if !slices.Contains(once, ref) {
			once = append(once, ref)
		}
	}
	return once
}

// environment gives the values that stand in the pod itself, with references expanded as the kubelet does, and the names
// whose value comes from elsewhere. Of several of one name the last one counts.
func environment(env []corev1.EnvVar) (values map[string]string, hidden map[string]bool) {
	values, hidden = map[string]string{}, map[string]bool{}
	for _, e := range env {
		value, ok := expand(e.Value, values)
		if !ok || e.Value == "" && e.ValueFrom != nil {
			delete(values, e.Name)
			hidden[e.Name] = true
			continue
		}
		values[e.Name] = value
		delete(hidden, e.Name)
	}
	return values, hidden
}

// expand replaces $(NAME) by the value of an earlier variable, and $$ by $, as k8s.io/kubernetes/third_party/forked/
// golang/expansion does; it is false where a value is not known, since a service's or a Secret's may stand for it.
func expand(s string, values map[string]string) (string, bool) {
	var b strings.Builder
	for {
		at := strings.IndexByte(s, '$')
		if at < 0 || at+1 == len(s) {
			b.WriteString(s)
			return b.String(), true
		}
		b.WriteString(s[:at])
		s = s[at+1:]
		end := strings.IndexByte(s, ')')
		switch {
		case s[0] == '$':
			b.WriteByte('$')
			s = s[1:]
		case s[0] == '(' && end > 0:
			value, ok := values[s[1:end]]
			if !ok {
				return "", false
			}
			b.WriteString(value)
			s = s[end+1:]
		default: // no reference
			b.WriteByte('$')
		}
	}
}

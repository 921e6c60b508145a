package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/internal/process"
)

const jobName = "capsules"

// job is the manifest of a Job on a spot node.
func job(c cast) string {
	metadata := ""
	if len(c.labels) > 0 {
		metadata = "\n    metadata:\n      labels: {" + strings.Join(c.labels, ", ") + "}"
	}
	return fmt.Sprintf(`apiVersion: batch/v1
kind: Job
metadata:
  name: %s
spec:
  template:%s
    spec:
      restartPolicy: Never
      nodeSelector: {cloud.google.com/gke-spot: "true"}
      containers:
        - name: train
          image: train
          command: [python, train.py, %s]
          resources: {requests: {cpu: "20"}}   # of the node's 32
`, jobName, metadata, c.spot)
}

// urgent is the manifest of a pod that has to have the spot node. Its PriorityClass is there from the start: the API server
// takes a moment to know one that is made together with the pod.
const urgent = `apiVersion: v1
kind: Pod
metadata:
  name: urgent
spec:
  priorityClassName: urgent
  nodeSelector: {cloud.google.com/gke-spot: "true"}
  containers:
    - name: serve
      image: serve
      resources: {requests: {cpu: "20"}}
`

// startInPod starts a run's script as the kubelet of the Job's node would, whose pods are only simulated: with the
// environment of the pod's container, and ended when the pod is.
func (s *stage) startInPod(ctx context.Context, run string) error {
	var pods corev1.PodList
	if err := s.cluster.List(ctx, &pods, client.InNamespace(metav1.NamespaceDefault), client.MatchingLabels{"job-name": jobName}); err != nil {
		return fmt.Errorf("find the pod of the Job %s: %w", jobName, err)
	}
	if len(pods.Items) != 1 {
		return fmt.Errorf("the Job %s has %d pods, not one", jobName, len(pods.Items))
	}
	pod := &pods.Items[0]
	env, err := environmentOf(pod)
	if err != nil {
		return err
	}
	s.n.note("\n  Simulated nodes run nothing, so this is what the kubelet would do in pod %s:", pod.Name)
	quoted := make([]string, len(env))
	for i, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		quoted[i] = name + "=" + quote(value)
	}
	s.n.typed(strings.Join(append(quoted, train(run)), " "))
	p, err := process.Start("pod-"+pod.Name, s.dir, append(s.environment(), env...), "/bin/sh", "-c", "exec "+strings.TrimSuffix(train(run), " &"))
	if err != nil {
		return err
	}
	s.programs = append(s.programs, p)
	go s.endWith(ctx, pod, p)
	return nil
}

// plain is what a shell takes as it is.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:-]+$`)

func quote(value string) string {
	if plain.MatchString(value) {
		return value
	}
	return "'" + value + "'"
}

var reference = regexp.MustCompile(`\$\(([^)]*)\)`)

// environmentOf is what a kubelet gives to the first container of a pod, as NAME=value in the order of the pod's spec.
// The pod's hostname, which a process outside of it does not have, comes as WANDB_HOST where that is not set.
func environmentOf(pod *corev1.Pod) ([]string, error) {
	known, env := map[string]string{}, []string{}
	for _, variable := range pod.Spec.Containers[0].Env {
		value := reference.ReplaceAllStringFunc(variable.Value, func(found string) string {
			if value, ok := known[found[2:len(found)-1]]; ok {
				return value
			}
			return found
		})
		if from := variable.ValueFrom; from != nil {
			switch {
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.name":
				value = pod.Name
			case from.FieldRef != nil && from.FieldRef.FieldPath == "metadata.uid":
				value = string(pod.UID)
			default:
				return nil, fmt.Errorf("pod %s has %s from a source that the demo does not know", pod.Name, variable.Name)
			}
		}
		known[variable.Name] = value
		env = append(env, variable.Name+"="+value)
	}
	if _, ok := known["WANDB_HOST"]; !ok {
		env = append(env, "WANDB_HOST="+pod.Name)
	}
	return env, nil
}

// endWith ends a process when its pod is told to end. One that ends before is a failure of the demo.
func (s *stage) endWith(ctx context.Context, pod *corev1.Pod, p *process.Process) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.Ended():
			s.died <- p.Running()
			return
		case <-ticker.C:
		}
		now := &corev1.Pod{}
		err := s.cluster.Get(ctx, client.ObjectKeyFromObject(pod), now)
		if apierrors.IsNotFound(err) || err == nil && !now.DeletionTimestamp.IsZero() {
			if err := p.Signal(syscall.SIGTERM); err != nil {
				s.died <- err
			}
			return
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			s.died <- fmt.Errorf("look at pod %s: %w", pod.Name, err)
			return
		}
	}
}

package inject_test

import (
	"fmt"
	"regexp"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newPod makes a pod with the label, and with containers that have these environments; see parse.
func newPod(containers ...[]string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "train-", Labels: map[string]string{projectLabel: "capsules"}},
		Spec: corev1.PodSpec{
			Containers:                   newContainers("c", containers),
			AutomountServiceAccountToken: new(bool), // a volume with a name of its own in each pod
		},
	}
}

func newContainers(name string, envs [][]string) []corev1.Container {
	var made []corev1.Container
	for i, env := range envs {
		made = append(made, corev1.Container{Name: fmt.Sprint(name, i), Image: "train", Env: parse(env)})
	}
	return made
}

// parse reads variables from "NAME=value", "NAME<field" for the downward API and "NAME<secret key" for a key of the Secret.
func parse(entries []string) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, entry := range entries {
		end := strings.IndexAny(entry, "=<")
		v := corev1.EnvVar{Name: entry[:end]}
		from := entry[end+1:]
		if entry[end] == '=' {
			v.Value = from
		} else if name, key, isSecret := strings.Cut(from, " "); isSecret {
			v.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key,
			}}
		} else {
			v.ValueFrom = &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: from}}
		}
		env = append(env, v)
	}
	return env
}

// environments are those of the containers, as parse reads them.
func environments(containers []corev1.Container) [][]string {
	var all [][]string
	for _, c := range containers {
		var env []string
		for _, v := range c.Env {
			switch {
			case v.ValueFrom == nil:
				env = append(env, v.Name+"="+v.Value)
			case v.ValueFrom.FieldRef != nil:
				env = append(env, v.Name+"<"+v.ValueFrom.FieldRef.FieldPath)
			default:
				env = append(env, v.Name+"<"+v.ValueFrom.SecretKeyRef.Name+" "+v.ValueFrom.SecretKeyRef.Key)
			}
		}
		all = append(all, env)
	}
	return all
}

var reference = regexp.MustCompile(`\$\$|\$\(([^)]*)\)`)

// started is the environment with which the kubelet starts a container, as kubelet_pods.go and third_party/forked/golang/
// expansion of Kubernetes have it: $(NAME) is what NAME is so far, and stays where it is nothing; $$ is $.
func started(pod *corev1.Pod, c corev1.Container) map[string]string {
	GinkgoHelper()
	env := map[string]string{}
	for _, v := range c.Env {
		if v.ValueFrom == nil {
			env[v.Name] = reference.ReplaceAllStringFunc(v.Value, func(found string) string {
				if found == "$$" {
					return "$"
				}
				if value, ok := env[found[2:len(found)-1]]; ok {
					return value
				}
				return found
			})
			continue
		}
		Expect(v.ValueFrom.FieldRef).NotTo(BeNil(), "there is no Secret here for %s", v.Name)
		value, ok := map[string]string{
			"metadata.name": pod.Name, "metadata.uid": string(pod.UID), "metadata.namespace": pod.Namespace,
		}[v.ValueFrom.FieldRef.FieldPath]
		Expect(ok).To(BeTrue(), "%s of the pod is not known here", v.ValueFrom.FieldRef.FieldPath)
		env[v.Name] = value
	}
	return env
}

package plugin

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/plugin/manifest"
	"github.com/runtag/runtag/internal/plugin/plan"
	"github.com/runtag/runtag/internal/plugin/trial"
)

// kueue is the group of Kueue's API, and kueueVersions those whose Workloads can be read, the newest first.
const kueue = "kueue.x-k8s.io"

var kueueVersions = []string{"v1beta2", "v1beta1"}

// sights reads what rules can read of some namespaces. What the person may not read is in Unread.
func (s *session) sights(ctx context.Context, namespaces []string) (trial.Sights, error) {
	out := trial.Sights{Now: s.Clock.Now(), Unread: map[string]string{}}
	may := func(variable, what string, err error) error {
		if apierrors.IsForbidden(err) {
			out.Unread[variable] = "you may not read " + what
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
		return nil
	}
	var nodes corev1.NodeList
	if err := may("nodes", "nodes", s.client.List(ctx, &nodes)); err != nil {
		return out, err
	}
	out.Nodes = pointers(nodes.Items)
	for _, name := range namespaces {
		var pods corev1.PodList
		if err := may("pods", "pods of namespace "+name, s.client.List(ctx, &pods, client.InNamespace(name))); err != nil {
			return out, err
		}
		out.Pods = append(out.Pods, pointers(pods.Items)...)
		namespace := &corev1.Namespace{}
		err := s.client.Get(ctx, client.ObjectKey{Name: name}, namespace)
		switch failed := may("namespace", "namespace "+name, err); {
		case failed != nil:
			return out, failed
		case err == nil:
			out.Namespaces = append(out.Namespaces, namespace)
		}
		workloads, err := s.workloads(ctx, name)
		if err := may("workloads", "Workloads of namespace "+name, err); err != nil {
			return out, err
		}
		out.Workloads = append(out.Workloads, workloads...)
	}
	return out, nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, 0, len(items))
	for i := range items {
		out = append(out, &items[i])
	}
	return out
}

// workloads are Kueue's, in the newest version that is served; none where Kueue is not installed.
func (s *session) workloads(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	for _, version := range kueueVersions {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: kueue, Version: version, Kind: "WorkloadList"})
		err := s.client.List(ctx, list, client.InNamespace(namespace))
		switch {
		case err == nil:
			return pointers(list.Items), nil
		case !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err):
			return nil, err
		}
	}
	return nil, nil
}

// subjects are runs with their projects.
func (s *session) subjects(ctx context.Context, runs []v1alpha1.TrainingRun) ([]trial.Run, error) {
	projects := map[client.ObjectKey]*v1alpha1.TrackingProject{}
	out := make([]trial.Run, 0, len(runs))
	for i := range runs {
		key := client.ObjectKey{Namespace: runs[i].Namespace, Name: runs[i].Spec.ProjectRef.Name}
		project, known := projects[key]
		if !known {
			project = &v1alpha1.TrackingProject{}
			err := s.client.Get(ctx, key, project)
			if apierrors.IsNotFound(err) {
				project = nil
			} else if err != nil {
				return nil, fmt.Errorf("read TrackingProject %s: %w", key, err)
			}
			projects[key] = project
		}
		out = append(out, subject(s.Frame, &runs[i], project))
	}
	return out, nil
}

// subject is a run with its project; without one nothing is known of its tracker, and tags are plain strings.
func subject(f *Frame, run *v1alpha1.TrainingRun, project *v1alpha1.TrackingProject) trial.Run {
	r := trial.Run{Run: plan.Run{Object: run, Ceiling: plan.Policy(v1alpha1.TagPolicyExclusive), Now: f.Clock.Now()}, Project: project}
	if project != nil {
		r.Dialect, r.Ceiling = dialectOf(project), plan.Policy(project.Spec.MaxTagPolicy)
	}
	return r
}

// fixtures reads runs and what rules can read from files. ignored are kinds that rules know nothing of.
func (f *Frame) fixtures(folder, namespace string) (runs []trial.Run, seen trial.Sights, ignored []string, err error) {
	objects, err := (manifest.Files{Names: []string{folder}, Recursive: true}).Read(f.In, namespace)
	if err != nil {
		return nil, seen, nil, err
	}
	projects := map[client.ObjectKey]*v1alpha1.TrackingProject{}
	var found []*v1alpha1.TrainingRun
	for _, o := range objects {
		if o.GetUID() == "" { // written by hand
			o.SetUID(types.UID(o.GetKind() + "/" + o.GetNamespace() + "/" + o.GetName()))
		}
		switch o.GetKind() {
		case "TrainingRun":
			found, err = read(found, o, true)
		case "TrackingProject":
			var one []*v1alpha1.TrackingProject
			if one, err = read(one, o, true); err == nil {
				projects[client.ObjectKeyFromObject(one[0])] = one[0]
			}
		case "Pod":
			seen.Pods, err = read(seen.Pods, o, false)
		case "Node":
			seen.Nodes, err = read(seen.Nodes, o, false)
		case "Namespace":
			seen.Namespaces, err = read(seen.Namespaces, o, false)
		case "Workload":
			seen.Workloads = append(seen.Workloads, o.Unstructured)
		case kindTagRule, kindClusterTagRule: // they may lie beside what they are tried on
		default:
			ignored = append(ignored, o.GetKind()+"/"+o.GetName())
		}
		if err != nil {
			return nil, seen, nil, err
		}
	}
	for _, run := range found {
		key := client.ObjectKey{Namespace: run.Namespace, Name: run.Spec.ProjectRef.Name}
		runs = append(runs, subject(f, run, projects[key]))
	}
	slices.Sort(ignored)
	return runs, seen, ignored, nil
}

// read adds an object, read as the type of the list.
func read[T any, P interface {
	*T
	client.Object
}](list []*T, o manifest.Object, strict bool) ([]*T, error) {
	one := P(new(T))
	if err := o.Into(one, strict); err != nil {
		return nil, err
	}
	return append(list, (*T)(one)), nil
}

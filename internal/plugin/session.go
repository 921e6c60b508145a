package plugin

import (
	"context"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend/mlflow"
	"github.com/runtag/runtag/internal/backend/wandb"
	"github.com/runtag/runtag/internal/tags"
)

// Requests per second, and at once: a person waits for 400 patches, and the API server has priority and fairness.
const (
	requestsPerSecond = 100
	requestsAtOnce    = 200
)

// pageSize is how many objects are listed at a time, as kubectl does.
const pageSize = 500

// session is a command's connection to the cluster.
type session struct {
	*Frame
	client client.WithWatch
	// namespace is the one of the command line or the context.
	namespace string
	projects  map[client.ObjectKey]*project
}

// project is what has to be known of a TrackingProject to edit its runs.
type project struct {
	dialect tags.Dialect
	ceiling v1alpha1.TagPolicy
}

// connect makes the connection; nothing is sent yet.
func (f *Frame) connect() (*session, error) {
	config, err := f.Config.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig: %w", err)
	}
	namespace, _, err := f.Config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the namespace from the kubeconfig: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = requestsPerSecond, requestsAtOnce
	config.UserAgent = FieldManager + "/" + f.Version
	config.WarningHandler = rest.NewWarningWriter(f.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the types: %w", err)
		}
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: mapper()})
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return &session{Frame: f, client: c, namespace: namespace, projects: map[client.ObjectKey]*project{}}, nil
}

// mapper knows the few kinds that are used, so that nothing has to be discovered.
func mapper() meta.RESTMapper {
	m := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion, corev1.SchemeGroupVersion})
	for _, kind := range []string{"TrainingRun", "TrackingProject", "TagChange", "TagRule"} {
		m.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	m.Add(v1alpha1.GroupVersion.WithKind("ClusterTagRule"), meta.RESTScopeRoot)
	for kind, scope := range map[string]meta.RESTScope{
		"ConfigMap": meta.RESTScopeNamespace, "Pod": meta.RESTScopeNamespace, "Namespace": meta.RESTScopeRoot, "Node": meta.RESTScopeRoot,
	} {
		m.Add(corev1.SchemeGroupVersion.WithKind(kind), scope)
	}
	for _, version := range kueueVersions {
		m.Add(schema.GroupVersionKind{Group: kueue, Version: version, Kind: "Workload"}, meta.RESTScopeNamespace)
	}
	return m
}

// project finds out what has to be known of a run's project. A run may be there before its project: then nothing is known
// of the tracker, and tags are plain strings.
func (s *session) project(ctx context.Context, namespace, name string) (*project, error) {
	key := client.ObjectKey{Namespace: namespace, Name: name}
	if p := s.projects[key]; p != nil {
		return p, nil
	}
	var object v1alpha1.TrackingProject
	p := &project{ceiling: v1alpha1.TagPolicyExclusive}
	switch err := s.client.Get(ctx, key, &object); {
	case apierrors.IsNotFound(err):
	case err != nil:
		return nil, fmt.Errorf("read TrackingProject %s: %w", key, err)
	default:
		p = &project{dialect: dialectOf(&object), ceiling: object.Spec.MaxTagPolicy}
	}
	s.projects[key] = p
	return p, nil
}

// needProject refuses a project of the namespace that is not there.
func (s *session) needProject(ctx context.Context, name string) error {
	var object v1alpha1.TrackingProject
	key := client.ObjectKey{Namespace: s.namespace, Name: name}
	if err := s.client.Get(ctx, key, &object); err != nil {
		return fmt.Errorf("read TrackingProject %s: %w", key, err)
	}
	return nil
}

func dialectOf(p *v1alpha1.TrackingProject) tags.Dialect {
	if p.Spec.MLflow != nil {
		return mlflow.Dialect()
	}
	return new(wandb.Client).Dialect()
}

// policy reads a policy; one that is not given is the default.
func policy(p v1alpha1.TagPolicy) tags.Policy {
	switch p {
	case v1alpha1.TagPolicyObserve:
		return tags.Observe
	case v1alpha1.TagPolicyAdd:
		return tags.Add
	case v1alpha1.TagPolicyExclusive:
		return tags.Exclusive
	}
	return tags.Merge
}

// say writes a line.
func say(w io.Writer, format string, args ...any) error {
	if _, err := fmt.Fprintf(w, format+"\n", args...); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

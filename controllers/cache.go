package controllers

import (
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/controllers/trainingrun"
)

// Cache gives the options of the cache that the controllers read from: objects of these namespaces, or of all if there
// are none, without the managed fields that nobody reads.
func Cache(namespaces ...string) cache.Options {
	in := map[string]cache.Config{}
	for _, namespace := range namespaces {
		in[namespace] = cache.Config{}
	}
	return cache.Options{
		DefaultNamespaces: in,
		DefaultTransform:  cache.TransformStripManagedFields(),
		ByObject:          map[client.Object]cache.ByObject{&v1alpha1.TrainingRun{}: {Transform: trainingrun.StripManagedFields}},
	}
}

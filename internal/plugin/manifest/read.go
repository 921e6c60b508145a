package manifest

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/runtag/runtag/api/v1alpha1"
)

// Object is one object that was read, and where it stands.
type Object struct {
	*unstructured.Unstructured
	Source string
}

// Files are the flags that say what to read: files, folders, URLs or "-", as for kubectl.
type Files struct {
	Names     []string
	Kustomize string
	Recursive bool
}

// Given says whether anything is to be read.
func (f Files) Given() bool { return len(f.Names) > 0 || f.Kustomize != "" }

// Read reads all objects, those of lists one by one. Those that say no namespace get the one given, if they are not of a
// kind that has none as far as we know.
func (f Files) Read(stdin io.Reader, namespace string) ([]Object, error) {
	options := resource.FilenameOptions{Filenames: f.Names, Kustomize: f.Kustomize, Recursive: f.Recursive}
	builder := resource.NewLocalBuilder().Unstructured().Flatten()
	if at := slices.Index(options.Filenames, "-"); at >= 0 {
		builder = builder.Stream(stdin, "standard input")
		options.Filenames = slices.Delete(slices.Clone(options.Filenames), at, at+1)
	}
	infos, err := builder.FilenameParam(false, &options).Do().Infos()
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	objects := make([]Object, 0, len(infos))
	for _, info := range infos {
		object, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			return nil, fmt.Errorf("read %s: it holds no object", info.Source)
		}
		if object.GetNamespace() == "" && !clusterWide[object.GetKind()] {
			object.SetNamespace(namespace)
		}
		objects = append(objects, Object{object, info.Source})
	}
	return objects, nil
}

// clusterWide are the kinds that are read and have no namespace.
var clusterWide = map[string]bool{"ClusterTagRule": true, "Node": true, "Namespace": true}

// Into reads an object as one of our types. Strict refuses fields that the type does not have.
func (o Object) Into(typed runtime.Object, strict bool) error {
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, typed, strict)
	if err != nil && !runtime.IsStrictDecodingError(err) {
		err = o.mistyped(typed, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %s %s: %w", o.Source, o.GetKind(), o.GetName(), err)
	}
	return nil
}

// mistyped says which field has a value of another type, as a tag has that YAML takes for a number or for true; err says
// that there is one.
func (o Object) mistyped(typed runtime.Object, err error) error {
	text, failed := o.MarshalJSON()
	if failed != nil {
		return err
	}
	if field := json.Unmarshal(text, typed); field != nil {
		return fmt.Errorf("%w (a text that YAML takes for something else needs quotes)", field)
	}
	return err
}

// Check refuses an object of one of our kinds with fields that its kind does not have.
func (o Object) Check() error {
	switch o.GetKind() {
	case "TrainingRun":
		return o.Into(&v1alpha1.TrainingRun{}, true)
	case "TrackingProject":
		return o.Into(&v1alpha1.TrackingProject{}, true)
	case "TagRule":
		return o.Into(&v1alpha1.TagRule{}, true)
	case "ClusterTagRule":
		return o.Into(&v1alpha1.ClusterTagRule{}, true)
	}
	return nil
}

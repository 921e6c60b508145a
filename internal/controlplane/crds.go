package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// crdLimit is for the API server to serve what a CRD defines; it takes well under a second.
const crdLimit = 30 * time.Second

// InstallCRDs applies the CRDs of all YAML files of a folder, one per file, and waits until their versions are served.
// Other kinds, such as a kustomization, are passed over; a folder without any CRD is an error.
func InstallCRDs(ctx context.Context, cfg *rest.Config, dir string) error {
	crds, err := readCRDs(dir)
	if err != nil {
		return err
	}
	client, err := clientset.NewForConfig(cfg)
	if err != nil {
		return err
	}
	for name, manifest := range crds {
		force := true
		_, err := client.ApiextensionsV1().CustomResourceDefinitions().Patch(ctx, name, types.ApplyPatchType, manifest,
			metav1.PatchOptions{FieldManager: "runtag-controlplane", Force: &force})
		if err != nil {
			return fmt.Errorf("apply CRD %s: %w", name, err)
		}
	}
	for name := range crds {
		if err := waitServed(ctx, client, name); err != nil {
			return err
		}
	}
	return nil
}

// readCRDs gives the manifests by name of CRD.
func readCRDs(dir string) (map[string][]byte, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return nil, err
	}
	crds := map[string][]byte{}
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var meta metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(manifest, &meta); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if meta.Kind == "CustomResourceDefinition" {
			crds[meta.Name] = manifest
		}
	}
	if len(crds) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinition in the YAML files of %s", dir)
	}
	return crds, nil
}

// waitServed waits until the CRD is Established and discovery lists its resource in every served version.
func waitServed(ctx context.Context, client clientset.Interface, name string) error {
	last := errors.New("not asked yet")
	err := wait.PollUntilContextTimeout(ctx, readyPoll, crdLimit, true, func(ctx context.Context) (bool, error) {
		last = served(ctx, client, name)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for CRD %s to be served: %w (%w)", name, err, last)
	}
	return nil
}

func served(ctx context.Context, client clientset.Interface, name string) error {
	crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	state := "has no condition Established"
	for _, c := range crd.Status.Conditions {
		if c.Type == apiextensionsv1.Established {
			state = c.Message
		}
		if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
			return discovered(client, crd)
		}
	}
	return errors.New(state)
}

func discovered(client clientset.Interface, crd *apiextensionsv1.CustomResourceDefinition) error {
	for _, v := range crd.Spec.Versions {
		if !v.Served {
			continue
		}
		group := crd.Spec.Group + "/" + v.Name
		list, err := client.Discovery().ServerResourcesForGroupVersion(group)
		if err != nil {
			return err
		}
		found := false
		for i := range list.APIResources {
			found = found || list.APIResources[i].Name == crd.Spec.Names.Plural
		}
		if !found {
			return fmt.Errorf("%s is not in the discovery of %s yet", crd.Spec.Names.Plural, group)
		}
	}
	return nil
}

package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/internal/plugin/manifest"
)

// merging are the flags that say how a manifest would be applied, as kubectl apply has them.
type merging struct {
	dryRun       string
	serverSide   bool
	force        bool
	fieldManager string
}

func (m *merging) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&m.dryRun, "dry-run", "client", "client merges here; server has the API server validate the result, and keep nothing.")
	flags.Lookup("dry-run").NoOptDefVal = "server"
	flags.BoolVar(&m.serverSide, "server-side", false, "Have the API server merge, as for kubectl apply --server-side; needs the right to patch.")
	flags.StringVar(&m.fieldManager, "field-manager", "kubectl", "With --server-side: the field manager that would apply.")
	flags.BoolVar(&m.force, "force-conflicts", false, "With --server-side: take over fields of other managers.")
	complete(cmd, "dry-run", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return []string{"client", "server"}, cobra.ShellCompDirectiveNoFileComp
	})
}

func (m *merging) check() error {
	if !slices.Contains([]string{"client", "server"}, m.dryRun) {
		return usagef("--dry-run is client or server, not %q: nothing is ever written", m.dryRun)
	}
	return nil
}

// merged gives an object as it would be if the manifest were applied, and whether there is one now.
func (m *merging) merged(ctx context.Context, c client.Client, o manifest.Object) (result manifest.Object, there bool, err error) {
	fail := func(err error) (manifest.Object, bool, error) {
		return o, there, fmt.Errorf("%s: %s %s: %w", o.Source, o.GetKind(), o.GetName(), err)
	}
	wanted := o.DeepCopy()
	unstructured.RemoveNestedField(wanted.Object, "status")
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(o.GroupVersionKind())
	switch err := c.Get(ctx, client.ObjectKeyFromObject(o), live); {
	case err == nil:
		there = true
	case !apierrors.IsNotFound(err):
		return fail(err)
	}
	switch {
	case m.serverSide:
		options := []client.ApplyOption{client.FieldOwner(m.fieldManager), client.DryRunAll}
		if m.force {
			options = append(options, client.ForceOwnership)
		}
		err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(wanted), options...)
	case !there && m.dryRun == "server":
		err = c.Create(ctx, wanted, client.DryRunAll)
	case there:
		wanted, err = m.threeWay(ctx, c, wanted, live)
	}
	if apierrors.IsForbidden(err) && (m.serverSide || m.dryRun == "server") {
		return fail(fmt.Errorf("%w; without --server-side and --dry-run=server the right to read is enough", err))
	}
	if err != nil {
		return fail(err)
	}
	return manifest.Object{Unstructured: wanted, Source: o.Source}, there, nil
}

// threeWay merges as kubectl apply does with types that are not its own: what the manifest that was applied last had, and
// this one has not, goes.
func (m *merging) threeWay(ctx context.Context, c client.Client, wanted, live *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	modified, err := wanted.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("read the manifest: %w", err)
	}
	current, err := live.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("read the object: %w", err)
	}
	original := []byte(live.GetAnnotations()[corev1.LastAppliedConfigAnnotation])
	patch, err := jsonmergepatch.CreateThreeWayJSONMergePatch(original, modified, current)
	if err != nil {
		return nil, fmt.Errorf("merge the manifest into the object: %w", err)
	}
	if m.dryRun == "server" {
		result := live.DeepCopy()
		if err := c.Patch(ctx, result, client.RawPatch(types.MergePatchType, patch), client.DryRunAll); err != nil {
			return nil, fmt.Errorf("have the API server validate it: %w", err)
		}
		return result, nil
	}
	var changes map[string]any
	if err := json.Unmarshal(patch, &changes); err != nil {
		return nil, fmt.Errorf("merge the manifest into the object: %w", err)
	}
	return &unstructured.Unstructured{Object: mergePatch(live.Object, changes)}, nil
}

// mergePatch applies a JSON merge patch (RFC 7386).
func mergePatch(object, patch map[string]any) map[string]any {
	out := maps.Clone(object)
	if out == nil {
		out = map[string]any{}
	}
	for key, value := range patch {
		switch value := value.(type) {
		case nil:
			delete(out, key)
		case map[string]any:
			inner, _ := out[key].(map[string]any)
			out[key] = mergePatch(inner, value)
		default:
			out[key] = value
		}
	}
	return out
}

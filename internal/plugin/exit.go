package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The exit codes, for scripts.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitPartly      = 3
	exitTimeout     = 4
	exitInterrupted = 130
)

// usageError is a command line that means nothing.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// The errors that have an exit code of their own.
var (
	errPartly   = errors.New("not all was done; the lines above say what, and why")
	errNothing  = errors.New("nothing was done; the lines above say why")
	errTimeout  = errors.New("not seen done in time")
	errDeclined = errors.New("nothing was changed")
)

func exitCode(ctx context.Context, err error) int {
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case errors.Is(err, errPartly):
		return exitPartly
	case errors.Is(err, errTimeout):
		return exitTimeout
	case ctx.Err() != nil:
		return exitInterrupted
	}
	return exitError
}

// explain adds to an error what to do next, where the API server's words alone don't say.
func explain(ctx context.Context, err error) string {
	var usage usageError
	var status apierrors.APIStatus
	switch text := err.Error(); {
	case errors.As(err, &usage):
		return text
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return "interrupted"
	case apierrors.IsForbidden(err):
		return text + "\n" + roleHint(text)
	case apierrors.IsUnauthorized(err):
		return text + "\nlog in to the cluster anew, or choose another --context"
	case apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name == "":
		return text + "\nthis cluster does not know runtag's types: install its CRDs, or choose another --context"
	default:
		return text
	}
}

// roleHint says which of runtag's roles allows what was refused.
func roleHint(refusal string) string {
	role := "runtag-viewer"
	for _, verb := range []string{"create", "patch", "update", "delete"} {
		if strings.Contains(refusal, "cannot "+verb+" ") {
			role = "runtag-editor"
		}
	}
	if strings.Contains(refusal, `resource "configmaps"`) { // the cluster's own roles are for these
		role = "view"
	}
	if strings.Contains(refusal, "at the cluster scope") {
		return fmt.Sprintf("ask for the role %s in the whole cluster: kubectl create clusterrolebinding NAME --clusterrole=%s --user=YOU", role, role)
	}
	return fmt.Sprintf("ask for the role %s in that namespace: kubectl create rolebinding NAME --clusterrole=%s --user=YOU -n NAMESPACE", role, role)
}

// exactly wants this many arguments, and says which.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usagef("%s takes %s, and got %d; see %s --help", cmd.CommandPath(), strings.Join(names, " "), len(args), cmd.CommandPath())
		}
		return nil
	}
}

// atMost wants no more than this many arguments.
func atMost(n int, name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > n {
			return usagef("%s takes at most %d %s, and got %d; see %s --help", cmd.CommandPath(), n, name, len(args), cmd.CommandPath())
		}
		return nil
	}
}

package connect

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/runtag/runtag/api/v1alpha1"
	"github.com/runtag/runtag/internal/backend"
)

// The keys of a Secret that holds a name and a password, as in Secrets of type kubernetes.io/basic-auth.
const (
	keyUsername = corev1.BasicAuthUsernameKey
	keyPassword = corev1.BasicAuthPasswordKey
)

// SecretError says that a Secret can't be used as it is, and what to do. It holds nothing of the Secret's content.
type SecretError struct {
	Namespace, Secret string
	// Message says what is wrong and what to do next.
	Message string
	// Err is the API server's answer, if that was it.
	Err error
}

// Error names the Secret and gives the message.
func (e *SecretError) Error() string {
	return fmt.Sprintf("Secret %s/%s %s", e.Namespace, e.Secret, e.Message)
}

// Unwrap gives the cause.
func (e *SecretError) Unwrap() error { return e.Err }

// credentials is what a project's Secrets hold. What is not asked for is empty.
type credentials struct {
	apiKey, username, password, token backend.Secret
	ca                                []byte
	// used is Connection.Secrets.
	used string
}

// identity is what the tracker knows us by, for the rate limit; the kinds can't be mistaken for each other.
func (c credentials) identity() string {
	return strings.Join([]string{c.apiKey.Reveal(), c.username.Reveal(), c.password.Reveal(), c.token.Reveal()}, "\x00")
}

// reader reads the Secrets of one project, each once.
type reader struct {
	secrets   client.Reader
	namespace string
	target    target
	seen      map[string]*corev1.Secret
}

// read gets everything that the spec names, by name and from the project's own namespace.
func (c *Connector) read(ctx context.Context, namespace string, t target) (credentials, error) {
	r := &reader{secrets: c.options.Secrets, namespace: namespace, target: t, seen: map[string]*corev1.Secret{}}
	var found credentials
	var err error
	if t.wandb != nil {
		found, err = r.wandb(ctx, t.wandb)
	} else {
		found, err = r.mlflow(ctx, t.mlflow)
	}
	if err != nil {
		return credentials{}, err
	}
	found.used = r.used()
	return found, nil
}

func (r *reader) wandb(ctx context.Context, w *v1alpha1.WandbProject) (found credentials, err error) {
	ref := w.APIKeySecretRef
	if found.apiKey, err = r.value(ctx, ref.Name, ref.Key, ref.Key); err != nil {
		return found, err
	}
	found.ca, err = r.authorities(ctx, w.CASecretRef)
	return found, err
}

func (r *reader) mlflow(ctx context.Context, m *v1alpha1.MLflowProject) (found credentials, err error) {
	if auth := m.Auth; auth != nil {
		if ref := auth.BasicSecretRef; ref != nil {
			if found.username, err = r.value(ctx, ref.Name, keyUsername, keyUsername, keyPassword); err != nil {
				return found, err
			}
			if found.password, err = r.value(ctx, ref.Name, keyPassword, keyUsername, keyPassword); err != nil {
				return found, err
			}
		}
		if ref := auth.TokenSecretRef; ref != nil {
			if found.token, err = r.value(ctx, ref.Name, ref.Key, ref.Key); err != nil {
				return found, err
			}
		}
	}
	found.ca, err = r.authorities(ctx, m.CASecretRef)
	return found, err
}

// value gives one value for an HTTP header. all are the keys that the Secret needs, for the advice how to make it.
func (r *reader) value(ctx context.Context, name, key string, all ...string) (backend.Secret, error) {
	secret, err := r.get(ctx, name, "--from-literal=%s=…", all)
	if err != nil {
		return backend.Secret{}, err
	}
	text := strings.TrimRight(string(secret.Data[key]), "\r\n")
	if strings.TrimSpace(text) == "" {
		return backend.Secret{}, r.lacking(secret, key)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return backend.Secret{}, r.failure(name, "has a line break or another control character in its key %q: %s", key, r.patch(name, key))
	}
	return backend.NewSecret(text), nil
}

// authorities gives a bundle of certificate authorities in PEM; none without a reference.
func (r *reader) authorities(ctx context.Context, ref *v1alpha1.SecretKeyReference) ([]byte, error) {
	if ref == nil {
		return nil, nil
	}
	secret, err := r.get(ctx, ref.Name, "--from-file=%s=ca.pem", []string{ref.Key})
	if err != nil {
		return nil, err
	}
	bundle := secret.Data[ref.Key]
	if len(bundle) == 0 {
		return nil, r.lacking(secret, ref.Key)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		return nil, r.failure(ref.Name, "has no certificate in PEM in its key %q: put the bundle of the tracker's certificate authority there", ref.Key)
	}
	return bundle, nil
}

// get reads a Secret once, and checks that it may be sent to this tracker. literal is the flag of kubectl by which a
// missing one is made, with a place for each key.
func (r *reader) get(ctx context.Context, name, literal string, keys []string) (*corev1.Secret, error) {
	if secret := r.seen[name]; secret != nil {
		return secret, nil
	}
	secret := &corev1.Secret{}
	// At a high level of detail client-go logs what it reads.
	ctx = logr.NewContext(ctx, logr.Discard())
	err := r.secrets.Get(ctx, client.ObjectKey{Namespace: r.namespace, Name: name}, secret)
	switch {
	case apierrors.IsNotFound(err):
		flags := make([]string, 0, len(keys))
		for _, key := range keys {
			flags = append(flags, fmt.Sprintf(literal, key))
		}
		failure := r.failure(name, "does not exist: kubectl -n %s create secret generic %s %s", r.namespace, name, strings.Join(flags, " "))
		failure.Err = err
		return nil, failure
	case apierrors.IsForbidden(err):
		failure := r.failure(name, "may not be read by runtag: allow its ServiceAccount to get secrets in namespace %s", r.namespace)
		failure.Err = err
		return nil, failure
	case err != nil:
		return nil, fmt.Errorf("read Secret %s/%s: %w", r.namespace, name, err)
	case secret.Type == corev1.SecretTypeServiceAccountToken:
		// It is a login to this cluster, and whoever names it here need not be allowed to read it.
		return nil, r.failure(name, "is a ServiceAccount's token, which is sent to no tracker: name a Secret made for the tracker")
	}
	if err := r.bound(secret); err != nil {
		return nil, err
	}
	r.seen[name] = secret
	return secret, nil
}

// bound checks the Secret's key "host": whoever may name a Secret in a project need not be allowed to read it, so its
// owner can say where it may be sent. The key's value is content, and so not in the message.
func (r *reader) bound(secret *corev1.Secret) error {
	value, found := secret.Data[v1alpha1.SecretKeyHost]
	if !found {
		return nil
	}
	host, port := splitHost(strings.TrimSpace(string(value)))
	if host == canonical(r.target.parsed.Hostname()) && (port == "" || host+":"+port == address(r.target.parsed)) {
		return nil
	}
	return r.failure(secret.Name, "is bound to another host by its key %q: correct the project's URL or, if the Secret is meant for %s, %s",
		v1alpha1.SecretKeyHost, r.target.parsed.Host, r.patch(secret.Name, v1alpha1.SecretKeyHost))
}

// splitHost takes host, host:port, [v6]:port, [v6] or v6; the port is empty where there is none.
func splitHost(value string) (host, port string) {
	if h, p, err := net.SplitHostPort(value); err == nil {
		return canonical(h), p
	}
	return canonical(strings.TrimSuffix(strings.TrimPrefix(value, "["), "]")), ""
}

func (r *reader) lacking(secret *corev1.Secret, key string) *SecretError {
	problem := "has no key"
	if _, found := secret.Data[key]; found {
		problem = "has an empty key"
	}
	return r.failure(secret.Name, "%s %q: %s", problem, key, r.patch(secret.Name, key))
}

// patch is the command that sets one key of a Secret and leaves its others.
func (r *reader) patch(name, key string) string {
	return fmt.Sprintf(`kubectl -n %s patch secret %s -p '{"stringData":{%q:"…"}}'`, r.namespace, name, key)
}

func (r *reader) failure(name, format string, args ...any) *SecretError {
	return &SecretError{Namespace: r.namespace, Secret: name, Message: fmt.Sprintf(format, args...)}
}

// used names the Secrets that were read, in order.
func (r *reader) used() string {
	used := make([]string, 0, len(r.seen))
	for name, secret := range r.seen {
		used = append(used, fmt.Sprintf("%s=%s/%s", name, secret.UID, secret.ResourceVersion))
	}
	slices.Sort(used)
	return strings.Join(used, ",")
}

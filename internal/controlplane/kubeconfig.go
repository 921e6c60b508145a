package controlplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// adminConfig is for a member of system:masters. The API server makes its own certificate, which is its own authority.
func (c *ControlPlane) adminConfig(port int) (*rest.Config, error) {
	ca, err := os.ReadFile(c.path("pki", servingCert))
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            "https://" + net.JoinHostPort(loopback, strconv.Itoa(port)),
		BearerToken:     c.token,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca},
		QPS:             -1,
	}, nil
}

// tokenLife is how long a ServiceAccount's token lasts; the most that no one has to configure.
const tokenLife = 24 * 60 * 60

// ConfigFor logs in as a ServiceAccount, which must exist, with a token that lasts a day, so that a program can be run
// under its own role.
func (c *ControlPlane) ConfigFor(ctx context.Context, namespace, serviceAccount string) (*rest.Config, error) {
	cfg := c.RESTConfig()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](tokenLife)}}
	answer, err := client.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, serviceAccount, request, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("get a token for ServiceAccount %s/%s: %w", namespace, serviceAccount, err)
	}
	cfg.BearerToken = answer.Status.Token
	return cfg, nil
}

// WriteKubeconfig writes a kubeconfig that only its owner can read, whole or not at all. Host, certificates and bearer
// token of cfg are in it, and nothing else.
func WriteKubeconfig(path string, cfg *rest.Config) error {
	const name = "runtag"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{
		Server: cfg.Host, CertificateAuthorityData: cfg.CAData, CertificateAuthority: cfg.CAFile,
		InsecureSkipTLSVerify: cfg.Insecure, TLSServerName: cfg.ServerName,
	}
	config.AuthInfos[name] = &api.AuthInfo{
		Token: cfg.BearerToken, TokenFile: cfg.BearerTokenFile,
		ClientCertificateData: cfg.CertData, ClientCertificate: cfg.CertFile,
		ClientKeyData: cfg.KeyData, ClientKey: cfg.KeyFile,
	}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Namespace: metav1.NamespaceDefault}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("write the kubeconfig %s: %w", path, err)
	}
	if err := writeFile(path, content); err != nil {
		return fmt.Errorf("write the kubeconfig %s: %w", path, err)
	}
	return nil
}

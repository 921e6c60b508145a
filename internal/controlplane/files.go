package controlplane

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	serviceAccountKey = "service-account.key"
	servingCert       = "apiserver.crt" // kube-apiserver's own name for it
	tokenFile         = "tokens.csv"
	adminName         = "runtag-admin"
)

// prepare takes the folder and makes what is not there of last time. It removes an old kubeconfig, so that its being
// there means that the API server is ready, and the old logs.
func (c *ControlPlane) prepare(dir string) error {
	if err := c.takeDir(dir); err != nil {
		return err
	}
	err := c.lay()
	if err != nil {
		c.lock.release()
		if c.temp {
			err = errors.Join(err, os.RemoveAll(c.dir))
		}
	}
	return err
}

func (c *ControlPlane) takeDir(dir string) error {
	var err error
	if dir == "" {
		c.temp = true
		dir, err = os.MkdirTemp("", "runtag-controlplane-")
	} else {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return fmt.Errorf("make the control plane's folder: %w", err)
	}
	if c.dir, err = filepath.Abs(dir); err != nil {
		return fmt.Errorf("make the control plane's folder: %w", err)
	}
	lock, holder, err := tryLock(c.path("lock"))
	if errors.Is(err, errLocked) {
		return fmt.Errorf("%s is %w by %s; stop that, or choose another folder", c.dir, ErrInUse, holder)
	}
	if err != nil {
		return fmt.Errorf("take the control plane's folder: %w", err)
	}
	c.lock = lock
	return nil
}

func (c *ControlPlane) lay() error {
	for _, name := range []string{"pki", "logs", "etcd"} {
		if err := os.MkdirAll(c.path(name), 0o700); err != nil {
			return fmt.Errorf("make the control plane's folders: %w", err)
		}
	}
	leftovers := []string{c.KubeconfigPath()}
	for _, component := range append(Components(), NodeComponents()...) {
		leftovers = append(leftovers, c.LogPath(component))
	}
	for _, old := range leftovers {
		if err := os.Remove(old); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("remove what is left of last time: %w", err)
		}
	}
	if _, err := keep(c.path("pki", serviceAccountKey), newKey); err != nil {
		return fmt.Errorf("make the key that signs ServiceAccount tokens: %w", err)
	}
	line, err := keep(c.path("pki", tokenFile), func() ([]byte, error) {
		return fmt.Appendf(nil, "%s,%s,%s,\"system:masters\"\n", rand.Text(), adminName, adminName), nil
	})
	if err != nil {
		return fmt.Errorf("make the administrator's token: %w", err)
	}
	c.token, _, _ = strings.Cut(string(line), ",")
	return nil
}

// keep gives what is in the file, which it makes if it is not there.
func keep(path string, create func() ([]byte, error)) ([]byte, error) {
	content, err := os.ReadFile(path)
	if !errors.Is(err, os.ErrNotExist) {
		return content, err
	}
	if content, err = create(); err != nil {
		return nil, err
	}
	return content, writeFile(path, content)
}

func newKey() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// writeFile makes a file that only its owner can read; whoever reads it sees all of it or none.
func writeFile(path string, content []byte) (err error) {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}

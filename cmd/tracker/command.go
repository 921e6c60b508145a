package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/runtag/runtag/internal/backend/wandb/wandbtest"
)

// shutdownGrace is how long requests in hand may take after the signal to end.
const shutdownGrace = 5 * time.Second

// headerTimeout is how long a client may take to say what it wants.
const headerTimeout = 10 * time.Second

type options struct {
	listen, data       string
	apiKeys            []string
	apiKeyFile         string
	unauthorizedStatus int
	entity             string
	bulk               bool
	heartbeatTimeout   time.Duration
	tlsCert, tlsKey    string
	addressFile        string
	faults             faultOptions
}

func newCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "tracker",
		Short: "A small tracker that the real wandb SDK works against",
		Long: `A small tracker that speaks W&B's protocol, so that the real wandb SDK and its public API work against it:

  WANDB_BASE_URL=http://127.0.0.1:8088 WANDB_API_KEY=$(printf %040d 1) python train.py

The page at / shows projects, runs and tags, and edits them. /_runtag/requests is the log of requests, /_runtag/faults
takes, shows and (DELETE) ends faults, /_runtag/runs and /_runtag/tags read and edit runs without a key.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.listen, "listen", "127.0.0.1:8088", "address to listen on; port 0 takes a free one")
	flags.StringVar(&o.addressFile, "address-file", "", "file to write the server's URL to once it listens")
	flags.StringVar(&o.data, "data", "", "directory that keeps the runs over restarts; in memory only without it")
	flags.StringArrayVar(&o.apiKeys, "api-key", nil, "a key to accept (repeatable); without any, every key is")
	flags.StringVar(&o.apiKeyFile, "api-key-file", "", "file with keys to accept, one a line")
	flags.IntVar(&o.unauthorizedStatus, "unauthorized-status", 0, "HTTP status for other keys; 0 answers 200 with viewer and project null, as W&B does")
	flags.StringVar(&o.entity, "entity", "runtag", "entity and user that keys belong to")
	flags.BoolVar(&o.bulk, "bulk", false, "have the mutation modifyRuns")
	flags.DurationVar(&o.heartbeatTimeout, "heartbeat-timeout", 5*time.Minute, "silence after which a run counts as crashed; 0 means never")
	flags.StringVar(&o.tlsCert, "tls-cert", "", "certificate file, to serve HTTPS")
	flags.StringVar(&o.tlsKey, "tls-key", "", "key file of --tls-cert")
	o.faults.add(flags)
	return cmd
}

func (o *options) run(ctx context.Context, out io.Writer) error {
	if (o.tlsCert == "") != (o.tlsKey == "") {
		return errors.New("--tls-cert and --tls-key go together: give both or neither")
	}
	server, err := o.server()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w; choose another address with --listen", o.listen, err)
	}
	url := o.scheme() + "://" + listener.Addr().String()
	if err := o.announce(out, url); err != nil {
		return errors.Join(err, listener.Close())
	}
	group, ctx := errgroup.WithContext(ctx)
	if o.data != "" {
		group.Go(func() error { return server.Keep(ctx, o.data) })
	}
	group.Go(func() error { return o.serve(ctx, listener, server) })
	return group.Wait()
}

func (o *options) scheme() string {
	if o.tlsCert != "" {
		return "https"
	}
	return "http"
}

func (o *options) server() (*wandbtest.Server, error) {
	faults, err := o.faults.read()
	if err != nil {
		return nil, err
	}
	options := []wandbtest.Option{
		wandbtest.WithEntity(o.entity),
		wandbtest.WithHeartbeatTimeout(o.heartbeatTimeout),
		wandbtest.WithUnauthorizedStatus(o.unauthorizedStatus),
		wandbtest.WithFaults(faults),
	}
	if o.bulk {
		options = append(options, wandbtest.WithBulk())
	}
	keys := o.apiKeys
	if o.apiKeyFile != "" {
		body, err := os.ReadFile(o.apiKeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading --api-key-file: %w", err)
		}
		keys = append(keys, strings.Fields(string(body))...)
		if len(keys) == 0 {
			return nil, fmt.Errorf("--api-key-file %s holds no key; every key would be accepted", o.apiKeyFile)
		}
	}
	for _, key := range keys {
		options = append(options, wandbtest.WithAPIKey(key))
	}
	server := wandbtest.New(options...)
	if o.data == "" {
		return server, nil
	}
	if err := server.Load(o.data); err != nil {
		return nil, err
	}
	return server, nil
}

// announce says where the server is. The address file appears as a whole, for those who wait for it.
func (o *options) announce(out io.Writer, url string) error {
	if o.addressFile != "" {
		next := o.addressFile + ".next"
		err := os.WriteFile(next, []byte(url+"\n"), 0o600)
		if err == nil {
			err = os.Rename(next, o.addressFile)
		}
		if err != nil {
			return fmt.Errorf("writing --address-file: %w", err)
		}
	}
	_, err := fmt.Fprintf(out, "tracker: %s (page, and WANDB_BASE_URL for scripts)\n", url)
	return err
}

func (o *options) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	ended := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		err := server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // slow answers are not waited for any longer
		}
		ended <- err
	}()
	var err error
	if o.tlsCert != "" {
		err = server.ServeTLS(listener, o.tlsCert, o.tlsKey)
	} else {
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	return <-ended
}

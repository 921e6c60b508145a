package process

import (
	"context"
	"fmt"
	"net"
)

// FreeAddress is a loopback address with a port that nobody listens on now, for a program that is about to be started.
func FreeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = listener.Close() }() // only its number is of use
	return listener.Addr().String(), nil
}

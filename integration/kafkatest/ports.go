package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// FreeAddress returns an address of 127.0.0.1 that nobody listens on, for a process
// that a test starts. Its port is none that the system gives to connections.
func FreeAddress(ctx context.Context) (string, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])), nil
}

// freePorts returns n ports of 127.0.0.1 that nobody listens on.
//
// They are not taken from port 0, as is usual, because the system would give
// ephemeral ones, and while a broker is down such a port can be lost: another
// connection may get it as its own, or a client that keeps dialling it may meet
// itself (TCP's simultaneous open), and the broker could not come back. Ports
// below the ephemeral range of every system have no such trouble.
func freePorts(ctx context.Context, n int) ([]int, error) {
	const low, high = 15000, 32000
	var config net.ListenConfig
	var ports []int
	var last error
	for range 200 {
		port := low + rand.IntN(high-low)
		l, err := config.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			last = err
			continue
		}
		defer closeQuietly(l) // all of them at the end, so that none comes twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, errors.Join(fmt.Errorf("no %d free ports from %d to %d", n, low, high), last)
}

//go:build unix

package kafkatest

import (
	"os"
	"syscall"
)

// freeze stops a process where it stands, or lets it go on.
func freeze(p *os.Process, on bool) error {
	if on {
		return p.Signal(syscall.SIGSTOP)
	}
	return p.Signal(syscall.SIGCONT)
}

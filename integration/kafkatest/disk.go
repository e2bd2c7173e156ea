package kafkatest

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
)

// FillDisk lets the broker write nothing more to any file, as a disk does that is
// full. It holds until the broker is started anew. Where that cannot be done, as
// in a container, the error is an [*UnavailableError].
func (c *Cluster) FillDisk(ctx context.Context) error {
	return c.with(func(b broker) error { return b.fillDisk(ctx) })
}

// fillDisk sets the process's limit for the size of files. A JVM takes what the
// system then says for an error of the disk like any other.
func (b *local) fillDisk(ctx context.Context) error {
	if b.proc == nil {
		return errDown
	}
	const tool = "prlimit" // of util-linux
	path, err := exec.LookPath(tool)
	if err != nil {
		return &UnavailableError{What: "full disk", Reasons: []string{"no " + tool + " of util-linux"}, Optional: true}
	}
	pid := strconv.Itoa(b.proc.cmd.Process.Pid)
	if out, err := exec.CommandContext(ctx, path, "--fsize=1:1", "--pid", pid).CombinedOutput(); err != nil {
		return fmt.Errorf("%s of process %s: %w: %s", tool, pid, err, out)
	}
	return nil
}

func (b *contained) fillDisk(context.Context) error {
	return &UnavailableError{What: "full disk", Reasons: []string{"Kafka is in a container, whose processes are not ours to limit"}, Optional: true}
}

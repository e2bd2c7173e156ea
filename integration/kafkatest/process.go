package kafkatest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a running program of ours, with the watchdog that kills it if this
// process dies first.
type process struct {
	cmd  *exec.Cmd
	log  string        // file that has its output
	done chan struct{} // closed when it has ended and was reaped
	err  error         // how it ended; valid once done is closed
}

// spawn starts a program whose output is appended to the file log and whose
// working directory is dir. If this process dies before the program, the program
// is killed and dir removed.
func spawn(dir, log string, argv ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log of %s: %w", argv[0], err)
	}
	defer closeQuietly(out) // the program has its own descriptor
	// It lives until it is ended, longer than any context that is at hand here.
	p := &process{cmd: exec.CommandContext(context.Background(), argv[0], argv[1:]...), log: log, done: make(chan struct{})}
	p.cmd.Dir = dir
	p.cmd.Stdout, p.cmd.Stderr = out, out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	dismiss, err := watchdog(p.cmd.Process.Pid, dir)
	if err != nil {
		return nil, errors.Join(err, p.cmd.Process.Kill(), ignoreExit(p.cmd.Wait()))
	}
	go func() {
		defer close(p.done)
		p.err = p.cmd.Wait()
		dismiss()
	}()
	return p, nil
}

// watchdog starts a shell that waits for its input to end, which the system sees
// to when this process is gone in whatever way, and then kills pid and removes
// dir. It needs nothing that one Unix has and another has not. dismiss ends it.
func watchdog(pid int, dir string) (dismiss func(), err error) {
	const script = `read _; kill -9 "$1"; rm -rf -- "$2"`
	cmd := exec.CommandContext(context.Background(), "sh", "-c", script, "watchdog", strconv.Itoa(pid), dir)
	hold, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("watchdog: %w", err)
	}
	return func() {
		// Killed before its input ends, or it would take the pid, which may be
		// somebody else's by now, for the program's.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		closeQuietly(hold)
	}, nil
}

// ended says whether the program is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the program with SIGKILL and returns when it is gone.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", p.cmd.Process.Pid, err)
	}
	<-p.done
	return nil
}

// stop asks the program to end and kills it if it has not done so in time.
func (p *process) stop(patience time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop process %d: %w", p.cmd.Process.Pid, err)
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-p.done:
		return nil
	case <-late.C:
		return errors.Join(fmt.Errorf("process %d has not stopped after %s: %s", p.cmd.Process.Pid, patience, logTail(p.log)), p.kill())
	}
}

// logTail is the end of a log file, for an error.
func logTail(path string) string {
	const keep = 6000
	f, err := os.Open(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer closeQuietly(f)
	if info, err := f.Stat(); err == nil && info.Size() > keep {
		if _, err := f.Seek(-keep, io.SeekEnd); err != nil {
			return "(no log: " + err.Error() + ")"
		}
	}
	text, err := io.ReadAll(f)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	return lastLines(string(text), 30)
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return "the end of its log:\n" + strings.Join(lines, "\n")
}

// closeQuietly is for what was only read, or whose other end is gone.
func closeQuietly(c io.Closer) { _ = c.Close() }

// ignoreExit drops the error that says that a program ended badly, which a killed
// one does.
func ignoreExit(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

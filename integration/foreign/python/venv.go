package python

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sfbridge/bridge/integration/kafkatest"
	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

// oldestPython is the oldest minor version of Python 3 that all requirements run on.
const oldestPython = 11

//go:embed requirements.txt
var requirements string

// Libraries names those that the reader is about, with their versions.
func Libraries() string {
	var out []string
	for line := range strings.Lines(requirements) {
		name, version, _ := strings.Cut(strings.TrimSpace(line), "==")
		if name == "confluent-kafka" || name == "fastavro" {
			out = append(out, name+" "+version)
		}
	}
	return strings.Join(out, ", ")
}

// build makes the environment, keeps it in the cache under the hash of what it is
// made from, and returns its interpreter.
func build(ctx context.Context) (python string, err error) {
	outside, version, err := find(ctx)
	if err != nil {
		return "", missing(err)
	}
	// A venv refers to the Python that made it.
	hash := sha256.Sum256([]byte(outside + "\n" + version + "\n" + requirements))
	dir, err := maven.Cached(ctx, fmt.Sprintf("foreign-python-%x", hash[:8]), func(ctx context.Context, dir string) error {
		return install(ctx, outside, dir)
	})
	if err != nil {
		return "", missing(err)
	}
	return interpreter(dir), nil
}

func interpreter(dir string) string { return filepath.Join(dir, "venv", "bin", "python") }

// find returns the path and version of the first python3 in PATH, if it is new
// enough. What stands in PATH may be a script that chooses one; the path is that
// of the interpreter itself.
func find(ctx context.Context) (path, version string, err error) {
	first, err := exec.LookPath("python3")
	if err != nil {
		return "", "", &maven.ToolError{Tool: "python3", Reason: "not found"}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, first, "-I", "-c", "import sys; print(*sys.version_info[:3], sys.executable, sep='\\n')")
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", "", &maven.ToolError{Tool: "python3", Reason: fmt.Sprintf("%s does not run: %v", first, err)}
	}
	return parse(string(out))
}

func parse(out string) (path, version string, err error) {
	var major, minor, patch int
	if _, err := fmt.Sscan(out, &major, &minor, &patch, &path); err != nil {
		return "", "", &maven.ToolError{Tool: "python3", Reason: fmt.Sprintf("it says no version: %q", out)}
	}
	// A path may have spaces: it is all of the last line.
	lines := strings.SplitN(strings.TrimSpace(out), "\n", 4)
	path, version = lines[len(lines)-1], fmt.Sprintf("%d.%d.%d", major, minor, patch)
	if major != 3 || minor < oldestPython {
		return "", "", &maven.ToolError{Tool: "python3", Reason: fmt.Sprintf("%s is Python %s, at least 3.%d is needed", path, version, oldestPython)}
	}
	return path, version, nil
}

// checkTool is the name under which a run of "pip check" is reported.
const checkTool = "pip check"

// install fills a directory that will be renamed: the venv is used by its
// interpreter only, which finds its place anew each time, as scripts would not.
func install(ctx context.Context, python, dir string) error {
	list := filepath.Join(dir, "requirements.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o600); err != nil {
		return err
	}
	if err := run(ctx, "python3", python, "-I", "-m", "venv", filepath.Join(dir, "venv")); err != nil {
		return err
	}
	pip := []string{"-I", "-m", "pip", "--disable-pip-version-check", "--no-input"}
	inside := interpreter(dir)
	if err := run(ctx, "pip", inside, append(pip, "install", "--quiet", "--no-deps", "--only-binary", ":all:", "-r", list)...); err != nil {
		return err
	}
	return run(ctx, checkTool, inside, append(pip, "check")...)
}

func run(ctx context.Context, tool, path string, args ...string) error {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("%w (%w)", ctx.Err(), err)
	}
	const keep = 2000
	text := strings.TrimSpace(string(out))
	if len(text) > keep {
		text = "…" + text[len(text)-keep:]
	}
	return &maven.RunError{Tool: tool, Args: args, Output: text, Err: err}
}

// missing tells a machine that lacks something from a list of requirements of
// ours that is not complete.
func missing(err error) error {
	var run *maven.RunError
	if errors.As(err, &run) && run.Tool == checkTool {
		return err
	}
	return &kafkatest.UnavailableError{What: "Python client of Kafka", Reasons: []string{err.Error()}, Optional: true}
}

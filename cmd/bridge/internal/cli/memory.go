package cli

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
)

// LimitMemory lets the garbage collector know what the container may have, so
// that it collects more often near the limit in place of being killed there. An
// operator's GOMEMLIMIT wins; without a limit nothing changes.
func LimitMemory() {
	if limit := memoryLimit(os.DirFS("/"), os.Getenv); limit > 0 {
		debug.SetMemoryLimit(limit)
	}
}

// heapShare is how much of a container's memory goes to what the collector sees.
// The rest is for the program's own pages, and for a heap that grows while it is
// being collected.
const heapShare = 0.8

// memoryLimit is the limit to set, or 0 for none.
func memoryLimit(root fs.FS, env func(string) string) int64 {
	if env("GOMEMLIMIT") != "" {
		return 0
	}
	allowed := int64(math.MaxInt64)
	for _, file := range limitFiles(root) {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue // no such group here
		}
		// "max" is no number and no limit.
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			allowed = min(allowed, n)
		}
	}
	if allowed > 1<<50 { // how the first version of control groups writes "none"
		return 0
	}
	return int64(heapShare * float64(allowed))
}

// limitFiles names the files that may hold a limit: those of the process's own
// control group and of the groups around it, whose limits hold for it as well.
func limitFiles(root fs.FS) []string {
	files := []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return files
	}
	for line := range strings.Lines(string(text)) {
		group, ok := strings.CutPrefix(strings.TrimSpace(line), "0::/")
		for ; ok && group != "" && group != "."; group = path.Dir(group) {
			files = append(files, path.Join("sys/fs/cgroup", group, "memory.max"))
		}
	}
	return files
}

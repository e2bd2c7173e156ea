package kafkatest

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sfbridge/bridge/integration/kafkatest/maven"
)

const (
	apicurioVersion = "2.6.13.Final" // 3.x needs a newer Java than Kafka does
	apicurioJava    = 17
	apicurioJar     = "apicurio-registry-app-" + apicurioVersion + "-runner.jar"
)

// registry is an Apicurio Registry in a JVM of ours, with its data in memory.
type registry struct {
	url  string
	dir  string
	proc *process
}

// Registry returns the URL of Confluent's REST API (/subjects, /schemas/ids, …)
// of the Apicurio Registry that all tests of the process share; the first call
// starts it, [Main] stops it. Where none is to be had the test does not go on:
// see [GiveUp].
//
// It checks no compatibility unless told to, where Confluent's registry defaults
// to BACKWARD: a test that means that says so with PUT /config/<subject>.
func Registry(tb testing.TB) (url string) {
	tb.Helper()
	url, err := state.sharedRegistry()
	if err != nil {
		GiveUp(tb, err)
	}
	return url
}

func (s *shared) sharedRegistry() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.main {
		return "", errors.New("nobody would stop the registry: call kafkatest.Main in the package's TestMain")
	}
	if s.registry == nil && s.apicurio == nil {
		s.registry, s.apicurio = startRegistry(context.Background())
		if s.apicurio == nil {
			s.cleanup = append(s.cleanup, s.registry.remove)
		}
	}
	if s.apicurio != nil {
		return "", s.apicurio
	}
	return s.registry.url, nil
}

func startRegistry(ctx context.Context) (_ *registry, err error) {
	java, app, err := apicurio(ctx)
	if err != nil {
		return nil, &UnavailableError{What: "Apicurio Registry", Reasons: []string{"from Maven artifacts: " + err.Error()}}
	}
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bridge-registry-")
	if err != nil {
		return nil, fmt.Errorf("directory for the registry: %w", err)
	}
	r := &registry{dir: dir, url: fmt.Sprintf("http://127.0.0.1:%d/apis/ccompat/v7", ports[0])}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.remove())
		}
	}()
	r.proc, err = spawn(dir, filepath.Join(dir, "log"), java,
		"-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.io.tmpdir="+dir,
		"-Dquarkus.http.host=127.0.0.1", fmt.Sprintf("-Dquarkus.http.port=%d", ports[0]),
		"-jar", filepath.Join(app, apicurioJar))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	if err := poll(ctx, r.proc.ended, r.answers); err != nil {
		return nil, fmt.Errorf("the Apicurio Registry at %s: %w; %s", r.url, err, logTail(r.proc.log))
	}
	return r, nil
}

func (r *registry) answers(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/subjects", http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no deadline but ctx
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer closeQuietly(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s/subjects: %s", r.url, resp.Status)
	}
	return nil
}

func (r *registry) remove() error {
	var err error
	if r.proc != nil {
		err = r.proc.kill()
	}
	if err := errors.Join(err, os.RemoveAll(r.dir)); err != nil {
		return fmt.Errorf("remove the registry: %w", err)
	}
	return nil
}

// apicurio finds Java and the unpacked program.
func apicurio(ctx context.Context) (java, dir string, err error) {
	ctx, cancel := context.WithTimeout(ctx, downloadTime)
	defer cancel()
	java, err = maven.Java(ctx, apicurioJava)
	if err != nil {
		return "", "", err
	}
	dir, err = maven.Cached(ctx, "apicurio-registry-"+apicurioVersion, func(ctx context.Context, dir string) error {
		if err := maven.Artifact(ctx, "io.apicurio:apicurio-registry-app:"+apicurioVersion+":tar.gz:all", dir); err != nil {
			return err
		}
		archive := filepath.Join(dir, "apicurio-registry-app-"+apicurioVersion+"-all.tar.gz")
		if err := untar(archive, dir); err != nil {
			return fmt.Errorf("unpack %s: %w", filepath.Base(archive), err)
		}
		if _, err := os.Stat(filepath.Join(dir, apicurioJar)); err != nil {
			return fmt.Errorf("the artifact has no %s in it: %w", apicurioJar, err)
		}
		return os.Remove(archive)
	})
	return java, dir, err
}

// untar unpacks an archive's directories and files into dir, below which
// everything stays: os.Root refuses a name that leads out.
func untar(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer closeQuietly(f)
	zip, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer closeQuietly(root)
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := unpack(root, h, in); err != nil {
			return err
		}
	}
}

func unpack(root *os.Root, h *tar.Header, in io.Reader) error {
	name := strings.TrimSuffix(filepath.Clean(h.Name), "/")
	switch h.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(name, 0o700)
	case tar.TypeReg:
		if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, out.Close())
	}
	return nil // links and devices have no use here
}

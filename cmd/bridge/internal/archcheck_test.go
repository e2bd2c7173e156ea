package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/sfbridge/bridge"

// room is one row of the import table: what a package may import besides the
// standard library. Paths of ours are relative to the module; "..." is
// everything, "x/..." is x and what is below it. A third-party entry allows the
// path and what is below it.
type room struct {
	path  string
	why   string // the reason for the limits: the end of every failure message
	ours  []string
	third []string
	// only limits what may be used of an allowed import.
	only map[string][]string
	// testOurs and testThird are allowed in its test files too.
	testOurs, testThird []string
}

// file is one parsed Go file of ours.
type file struct {
	name string // relative to the module's root, slashes
	test bool
	ast  *ast.File
	set  *token.FileSet
}

func (f file) pkg() string { return path.Dir(f.name) }

func (f file) at(n ast.Node) string {
	return f.name + ":" + strconv.Itoa(f.set.Position(n.Pos()).Line)
}

func checkImports(table []room, files []file) []string {
	rooms := make(map[string]room, len(table))
	for _, r := range table {
		rooms[r.path] = r
	}
	var out []string
	for _, f := range files {
		r, ok := rooms[f.pkg()]
		if !ok {
			out = append(out, fmt.Sprintf("%s: package %s has no row in the import table: add one to arch_test.go that says what it may import and why, and a line to ARCHITECTURE.md", f.name, f.pkg()))
			continue
		}
		for _, imp := range f.ast.Imports {
			out = append(out, checkImport(r, f, imp)...)
		}
	}
	return out
}

func checkImport(r room, f file, imp *ast.ImportSpec) []string {
	target, err := strconv.Unquote(imp.Path.Value)
	if err != nil {
		return []string{f.name + ": " + err.Error()}
	}
	ours, third := r.ours, r.third
	if f.test {
		ours = slices.Concat(ours, r.testOurs, []string{r.path})
		third = slices.Concat(third, r.testThird, []string{rapid})
	}
	switch rel, isOurs := strings.CutPrefix(target, module+"/"); {
	case isOurs && !slices.ContainsFunc(ours, func(a string) bool { return isWithin(rel, a) }):
		return []string{fmt.Sprintf("%s: package %s may not import %s, since %s: pass what you need as a value or a one-method interface, joined in pipeline or cli", f.name, r.path, rel, r.why)}
	case isOurs:
		return nil
	case !strings.Contains(strings.SplitN(target, "/", 2)[0], "."):
		return nil // the standard library
	case !slices.ContainsFunc(third, func(a string) bool { return target == a || strings.HasPrefix(target, a+"/") }):
		return []string{fmt.Sprintf("%s: package %s may not import %s, since %s: do it with what its row in arch_test.go allows; a new direct dependency needs a record in DECISIONS.md that says what it saves us", f.name, r.path, target, r.why)}
	}
	if allowed, limited := r.only[target]; limited && !f.test {
		return checkSelectors(r, f, imp, target, allowed)
	}
	return nil
}

func isWithin(rel, allowed string) bool {
	if tree, isTree := strings.CutSuffix(allowed, "..."); isTree {
		return tree == "" || rel == strings.TrimSuffix(tree, "/") || strings.HasPrefix(rel, tree)
	}
	return rel == allowed
}

// checkSelectors looks for the names of an import that are used.
func checkSelectors(r room, f file, imp *ast.ImportSpec, target string, allowed []string) []string {
	name := path.Base(target)
	if imp.Name != nil {
		name = imp.Name.Name
	}
	var out []string
	ast.Inspect(f.ast, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == name && !slices.Contains(allowed, sel.Sel.Name) {
			out = append(out, fmt.Sprintf("%s: package %s may know of %s only %s, not %s, since %s", f.at(sel), r.path, path.Base(target), strings.Join(allowed, ", "), sel.Sel.Name, r.why))
		}
		return true
	})
	return out
}

// checkState forbids what a library does behind its user's back: work at
// import time, and variables that all its users share.
func checkState(stages []string, files []file) []string {
	var out []string
	for _, f := range files {
		stage := slices.ContainsFunc(stages, func(s string) bool { return isWithin(f.pkg(), s+"/...") })
		if f.test {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					out = append(out, fmt.Sprintf("%s: package %s has an init function: do it in a constructor, where it can be given its settings and return an error", f.at(d), f.pkg()))
				}
			case *ast.GenDecl:
				if stage && d.Tok == token.VAR {
					out = append(out, checkVars(f, d)...)
				}
			}
		}
	}
	return out
}

func checkVars(f file, d *ast.GenDecl) []string {
	var out []string
	for _, s := range d.Specs {
		v, ok := s.(*ast.ValueSpec)
		if !ok || embedded(d.Doc) || embedded(v.Doc) {
			continue
		}
		for i, n := range v.Names {
			if n.Name == "_" || strings.HasPrefix(strings.ToLower(n.Name), "err") && i < len(v.Values) && newError(v.Values[i]) {
				continue
			}
			out = append(out, fmt.Sprintf("%s: package %s has the variable %s, which all its users would share: make it a constant, a field, or a function that returns it (errors made by errors.New and embedded files may stay)", f.at(n), f.pkg(), n.Name))
		}
	}
	return out
}

func embedded(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed ") })
}

// newError says whether an expression is errors.New(…) or fmt.Errorf(…).
func newError(x ast.Expr) bool {
	call, ok := x.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	from, ok := sel.X.(*ast.Ident)
	return ok && (from.Name == "errors" && sel.Sel.Name == "New" || from.Name == "fmt" && sel.Sel.Name == "Errorf")
}

// checkLength wants Go and Java files of at most limit lines. A waiver without a reason is
// none, and one that is no longer needed has to go.
func checkLength(limit int, waivers, texts map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		lines := strings.Count(texts[name], "\n")
		if ext := path.Ext(name); ext != ".go" && ext != ".java" || lines <= limit || waivers[name] != "" {
			continue
		}
		out = append(out, fmt.Sprintf("%s has %d lines, the limit is %d: cut it by concept, or put it into the table of long files with the reason why that would not help its reader", name, lines, limit))
	}
	for _, name := range slices.Sorted(maps.Keys(waivers)) {
		if strings.Count(texts[name], "\n") <= limit {
			out = append(out, name+" is in the table of long files and is not one: take it out")
		}
	}
	return out
}

// unfinished are the words by which work is left for later where nobody looks
// for it. They are put together so that this file does not hold them.
func unfinished() []string { return []string{"TO" + "DO", "FIX" + "ME", "X" + "XX"} }

func checkUnfinished(texts map[string]string) []string {
	marks := regexp.MustCompile(`\b(` + strings.Join(unfinished(), "|") + `)\b`)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		at := marks.FindStringIndex(texts[name])
		if at == nil {
			continue
		}
		line := 1 + strings.Count(texts[name][:at[0]], "\n")
		out = append(out, fmt.Sprintf("%s:%d says %s: do it now, or say in the documentation what is not done", name, line, texts[name][at[0]:at[1]]))
	}
	return out
}

// checkMap wants every path that ARCHITECTURE.md names to exist, and every
// package of ours to be in it by its folder's name.
func checkMap(texts map[string]string) []string {
	const name = "ARCHITECTURE.md"
	exists := map[string]bool{}
	packages := map[string]bool{}
	for f := range texts {
		for dir := f; dir != "."; dir = path.Dir(dir) {
			exists[dir] = true
		}
		if path.Ext(f) == ".go" {
			packages[path.Dir(f)] = true
		}
	}
	var out []string
	for _, m := range regexp.MustCompile("`([a-z_]+)/([A-Za-z0-9_./-]*)`").FindAllStringSubmatch(texts[name], -1) {
		if p := path.Join(m[1], m[2]); exists[m[1]] && !exists[p] {
			out = append(out, fmt.Sprintf("%s names %s, which does not exist: the map must follow the code", name, p))
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		if !strings.Contains(texts[name], path.Base(dir)+"/") {
			out = append(out, fmt.Sprintf("%s does not name the package %s: give it its line on the map", name, dir))
		}
	}
	return out
}

// root is the folder of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = up
	}
}

// texts are the files of ours, by name: those in which people write, and none
// of what tools make or tests feed to the code.
func texts(t *testing.T) map[string]string {
	t.Helper()
	dir := root(t)
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && p != dir && (name == "testdata" || name == "bin" || name == "dist" || name[0] == '.' && name != ".ci" && name != ".github"):
			return fs.SkipDir
		case !d.Type().IsRegular() || name == "go.sum" || name == "LICENSE" || !written(name):
			return nil
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		out[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 10 {
		t.Fatalf("only %d files found below %s: this test would prove nothing", len(out), dir)
	}
	return out
}

func written(name string) bool {
	switch path.Ext(name) {
	case "", ".go", ".java", ".md", ".yaml", ".yml", ".tpl", ".txt", ".json", ".avsc", ".xml", ".sh", ".mod":
		return true
	}
	return false
}

// load parses every Go file of ours.
func load(t *testing.T) []file {
	t.Helper()
	sources := texts(t)
	var out []file
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if path.Ext(name) == ".go" {
			out = append(out, parse(t, name, sources[name]))
		}
	}
	return out
}

func parse(t *testing.T, name, source string) file {
	t.Helper()
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, name, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file{name: name, test: strings.HasSuffix(name, "_test.go"), ast: f, set: set}
}

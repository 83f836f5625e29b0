package tree

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-storage/holdfast/domain/guest"
	"github.com/holdfast-storage/holdfast/site"
	"github.com/holdfast-storage/holdfast/strictyaml"
	"github.com/holdfast-storage/holdfast/volume"
)

// The names of a tree's directories and files.
const (
	dirGlobal   = "global"
	dirServers  = "pservers"
	dirGuests   = "vservers"
	dirDocs     = "docs"
	dirDomUs    = "domUs"
	dirFiles    = "files"
	fileCluster = "cluster.yaml"
	fileImages  = "images.yaml"
	fileNode    = "node.yaml"
	fileGuest   = "guest.yaml"
	fileReadme  = "README.md"
	extension   = ".yaml"
)

// ReadDir reads the tree in a directory. Its error names everything that is wrong, each with its place. Links are
// followed, also out of the directory: whoever may write the tree has whatever they point to read, by the rights of who
// calls, and errors may tell of it.
func ReadDir(dir string) (*site.Site, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if err != nil {
		return nil, fmt.Errorf("site %s: %w", dir, err)
	}
	return Read(filepath.Clean(dir), os.DirFS(dir))
}

// Read is ReadDir of a file system; name is what errors call its root.
func Read(name string, root fs.FS) (*site.Site, error) {
	r := &reader{name: name, root: root, tops: make(map[string]*yaml.Node), stated: make(map[string]bool)}
	r.known(".", nil, dirGlobal, dirServers, dirGuests, dirDocs)
	shared := r.cluster()
	r.images()
	for _, server := range r.directories(dirServers, "physical server") {
		r.server(server, shared)
	}
	for _, name := range r.directories(dirGuests, "guest") {
		r.guest(name, shared)
	}
	for _, s := range r.site.Servers {
		r.domUs(s.Name)
	}
	slices.SortFunc(r.site.Guests, func(a, b site.Guest) int { return cmp.Compare(a.Name, b.Name) })
	if len(r.faults) == 0 {
		r.check()
	}
	if len(r.faults) > 0 {
		return nil, errors.Join(r.faults...)
	}
	return &r.site, nil
}

// reader is one reading of a tree.
type reader struct {
	name   string
	root   fs.FS
	site   site.Site
	tops   map[string]*yaml.Node // of each file that was read, by its path in the tree
	stated map[string]bool       // the guests whose file says what state they are to be in
	faults []error
}

// fault records what is wrong with a file or directory as a whole.
func (r *reader) fault(at, format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf("%s: %s", r.path(at), fmt.Sprintf(format, args...)))
}

// place records what is wrong with a field of a file.
func (r *reader) place(file string, err error) {
	var fault *guest.Fault
	path := ""
	if errors.As(err, &fault) {
		path = fault.Path
	}
	r.faults = append(r.faults, strictyaml.Placed(r.path(file), r.tops[file], path, err))
}

// path returns a path of the tree as its reader names it.
func (r *reader) path(at string) string { return filepath.Join(r.name, filepath.FromSlash(at)) }

// entries returns the names in a directory that are the tree's own, none if there is no such directory.
func (r *reader) entries(dir string) []string {
	list, err := fs.ReadDir(r.root, dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		r.fault(dir, "%v", err)
	}
	var names []string
	for _, e := range list {
		if name := e.Name(); !strings.HasPrefix(name, ".") && name != fileReadme {
			names = append(names, name)
		}
	}
	return names
}

// isDir follows links, as a tree may have them.
func (r *reader) isDir(at string) bool {
	info, err := fs.Stat(r.root, at)
	return err == nil && info.IsDir()
}

// has reports whether the tree has a file.
func (r *reader) has(file string) bool {
	_, err := fs.Stat(r.root, file)
	return !errors.Is(err, fs.ErrNotExist) // what is wrong with it is found when it is read
}

// known refuses what stands in a directory beside files and directories.
func (r *reader) known(dir string, files []string, directories ...string) {
	for _, name := range r.entries(dir) {
		at := path.Join(dir, name)
		switch isDir := r.isDir(at); {
		case slices.Contains(directories, name) && !isDir:
			r.fault(at, "it has to be a directory")
		case !slices.Contains(directories, name) && (!slices.Contains(files, name) || isDir):
			want := slices.Concat(files, directories)
			r.fault(at, "it is unknown: here may be %s; keep notes in %s", strings.Join(want, ", "), dirDocs)
		}
	}
}

// directories returns the names of the directories in one that holds nothing else.
func (r *reader) directories(dir, what string) []string {
	var names []string
	for _, name := range r.entries(dir) {
		at := path.Join(dir, name)
		if !r.isDir(at) {
			r.fault(at, "it is unknown: here may be a directory for each %s", what)
		} else if err := volume.CheckName(what, name); err != nil {
			r.fault(at, "%v", err)
		} else {
			names = append(names, name)
		}
	}
	return names
}

// fill reads a file into what into points to, and reports whether it could.
func (r *reader) fill(file string, into any) bool {
	text, err := fs.ReadFile(r.root, file)
	if err != nil {
		r.fault(file, "%v", plain(err))
		return false
	}
	top, err := strictyaml.Read(r.path(file), text)
	if err != nil {
		r.faults = append(r.faults, err)
		return false
	}
	r.tops[file] = top
	if err := strictyaml.Fill(into, top); err != nil {
		r.place(file, err)
		return false
	}
	return true
}

// plain takes the path out of an error that is put behind it.
func plain(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("it is missing")
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

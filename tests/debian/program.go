package debian

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// LoaderName is the name that Program gives the loader of what it copies.
const LoaderName = "ld.so"

// Program copies a program of the packages below root into a directory, which it makes, with every library that it
// needs and the loader of these: `ld.so --library-path DIR DIR/PROGRAM` runs it wherever the directory is.
func Program(root, program, dir string) error {
	packages, err := os.OpenRoot(root) // their links lead nowhere else
	if err != nil {
		return err
	}
	defer packages.Close()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	c := copier{packages: packages, dir: dir, taken: map[string]bool{}}
	err = c.take(program, path.Base(program))
	if err == nil {
		err = c.takeLoader(program)
	}
	if err != nil {
		return fmt.Errorf("program %s: %w", program, err)
	}
	return nil
}

type copier struct {
	packages *os.Root
	dir      string
	taken    map[string]bool
}

// take copies a file, under a name, and all libraries that it needs.
func (c copier) take(file, name string) error {
	c.taken[name] = true
	content, err := c.read(file)
	if err == nil {
		err = os.WriteFile(filepath.Join(c.dir, name), content, 0o755)
	}
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	needs, err := f.ImportedLibraries()
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, other := range needs {
		if c.taken[other] {
			continue
		}
		found, err := c.library(other)
		if err == nil {
			err = c.take(found, other)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeLoader copies what a program names as its loader.
func (c copier) takeLoader(program string) error {
	content, err := c.read(program)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return err
	}
	section := f.Section(".interp")
	if section == nil {
		return errors.New("it names no loader")
	}
	named, err := section.Data()
	if err != nil {
		return err
	}
	// It is named by a path that the system makes by a link; it lies beside the libraries.
	found, err := c.library(path.Base(string(bytes.TrimRight(named, "\x00"))))
	if err != nil {
		return err
	}
	return c.take(found, LoaderName)
}

func (c copier) read(file string) ([]byte, error) {
	f, err := c.packages.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// library returns where the packages have a library.
func (c copier) library(name string) (string, error) {
	for _, pattern := range []string{"lib/*-linux-gnu*", "usr/lib/*-linux-gnu*", "lib", "usr/lib"} {
		found, err := fs.Glob(c.packages.FS(), path.Join(pattern, name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("the packages have no library %s", name)
}

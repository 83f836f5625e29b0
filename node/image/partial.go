package image

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"

	"github.com/holdfast-storage/holdfast/volume"
)

// partial is a file that grows until it is a blob. Its bytes are hashed as they come. One goroutine uses it.
type partial struct {
	file *os.File
	size int64
	sum  hash.Hash
}

// resume opens what there is of a blob that is being pulled, or begins it. What is there is read, for the hash; more
// than the blob has is thrown away.
func (s *store) resume(d volume.Digest, size int64) (*partial, error) {
	f, err := os.OpenFile(s.part(d), os.O_CREATE|os.O_RDWR, partMode)
	if errors.Is(err, fs.ErrPermission) { // a daemon died when it was whole and had not got the blob's name yet
		if err = os.Chmod(s.part(d), partMode); err == nil {
			f, err = os.OpenFile(s.part(d), os.O_RDWR, partMode)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("images: %w", err)
	}
	p := &partial{file: f, sum: sha256.New()}
	n, err := io.CopyBuffer(p.sum, io.LimitReader(f, size+1), make([]byte, copyBytes))
	if err != nil || n > size {
		err = p.restart()
	} else {
		p.size = n
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return p, nil
}

// restart throws away what is there.
func (p *partial) restart() error {
	_, err := p.file.Seek(0, io.SeekStart)
	if err = errors.Join(err, p.file.Truncate(0)); err != nil {
		return fmt.Errorf("images: %w", err)
	}
	p.size = 0
	p.sum.Reset()
	return nil
}

// Write appends. Of what could not be written all counts as not there.
func (p *partial) Write(data []byte) (int, error) {
	n, err := p.file.WriteAt(data, p.size)
	p.size += int64(n)
	p.sum.Write(data[:n])
	return n, err
}

func (p *partial) digest() volume.Digest {
	return volume.DigestOf([sha256.Size]byte(p.sum.Sum(nil)))
}

// close leaves what is there, to go on with.
func (p *partial) close() error { return p.file.Close() }

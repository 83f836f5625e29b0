package api

import "context"

// ImageService is what of Service is about what guests boot from.
type ImageService interface {
	// Images lists the images.
	Images(ctx context.Context) ([]Image, error)
	// Image shows one image.
	Image(ctx context.Context, name string) (Image, error)
	// BeginUpload chooses a node for the content of a new version; nothing is decided by it.
	BeginUpload(ctx context.Context, name string, r BeginUpload) (Upload, error)
	// AppendUpload sends bytes that belong at an offset. Said again it does nothing.
	AppendUpload(ctx context.Context, name string, u Upload, data []byte) (Upload, error)
	// FinishUpload makes what was sent a version, or finds that it is one.
	FinishUpload(ctx context.Context, name, upload string, r FinishUpload) (ImageVersion, error)
	// AbortUpload forgets what was sent.
	AbortUpload(ctx context.Context, name string, u Upload) error
	// DeleteImage forgets a version that no domain needs; 0 is all of them.
	DeleteImage(ctx context.Context, name string, version int) error
	// PinDomain has a domain boot from another version from its next start on.
	PinDomain(ctx context.Context, name string, r PinDomain) (Domain, error)
	// RollbackDomain has it boot from what it was pinned to before.
	RollbackDomain(ctx context.Context, name string, r RollbackDomain) (Domain, error)
}

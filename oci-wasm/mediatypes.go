package ociwasm

import (
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of WebAssembly in OCI images.
const (
	// MediaTypeWasmConfig is the config of the CNCF artifact (shape D).
	MediaTypeWasmConfig = "application/vnd.wasm.config.v0+json"
	// MediaTypeWasmLayer is its one layer.
	MediaTypeWasmLayer = "application/wasm"
	// MediaTypeContentLayer is the layer type of wasm-to-oci and of shape C.
	MediaTypeContentLayer = "application/vnd.wasm.content.layer.v1+wasm"

	dockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	dockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig       = "application/vnd.docker.container.image.v1+json"
	dockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	dockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerLayerZstd    = "application/vnd.docker.image.rootfs.diff.tar.zstd"

	spinPrefix = "application/vnd.fermyon.spin"
)

// wasmConfigs are the configs of artifacts whose one layer is the module.
var wasmConfigs = map[string]bool{
	MediaTypeWasmConfig:                          true,
	"application/vnd.wasm.config.v1+json":        true, // wasm-to-oci
	"application/vnd.module.wasm.config.v1+json": true, // Solo.io, Istio
	"application/vnd.unknown.config.v1+json":     true, // oras before 1.0
	ocispec.MediaTypeEmptyJSON:                   true, // oras since 1.0
}

func isIndex(t string) bool { return t == ocispec.MediaTypeImageIndex || t == dockerManifestList }

func isManifest(t string) bool { return t == ocispec.MediaTypeImageManifest || t == dockerManifest }

func isImageConfig(t string) bool { return t == ocispec.MediaTypeImageConfig || t == dockerConfig }

// isWasmLayer takes every type of the family, since each tool invented its own.
func isWasmLayer(t string) bool {
	return t == MediaTypeWasmLayer || strings.HasPrefix(t, "application/") && strings.HasSuffix(t, "+wasm")
}

func isRootfsLayer(t string) bool { return layerCompression(t) != "" }

// layerCompression returns none, gzip or zstd, and "" for what is no layer of a
// root file system.
func layerCompression(t string) string {
	switch t {
	case ocispec.MediaTypeImageLayer:
		return "none"
	case dockerLayer:
		return "detect" // Docker wrote compressed layers under this type too
	case ocispec.MediaTypeImageLayerGzip, dockerLayerGzip:
		return "gzip"
	case ocispec.MediaTypeImageLayerZstd, dockerLayerZstd:
		return "zstd"
	}
	return ""
}

func isSpin(t string) bool { return strings.HasPrefix(t, spinPrefix) }

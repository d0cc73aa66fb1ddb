# shellcheck shell=bash
# Brings the project's images into every host. Host 1 builds, the others receive: no registry is involved.
# Sourced, never run.

BASE_IMAGE_NAME=docker-router-base
IMAGES=("$BASE_IMAGE_NAME:latest" docker-router-discovery:latest docker-router:latest)

load_images() {
  local count host pids=() pid archive=$DISKS/images.tar
  count=$(host_count)
  if [[ ${SKIP_BUNDLE:-} != 1 ]]; then
    say "building the bundles"
    npm --prefix "$REPO" run --silent build >&2
  fi
  import_base
  say "host1: building the images"
  inside host1 env BUILDKIT_PROGRESS="${BUILDKIT_PROGRESS:-quiet}" SKIP_BUNDLE=1 \
    BASE_IMAGE="$BASE_IMAGE_NAME:latest" /repo/scripts/build.sh >&2
  rm -f "$archive"
  for ((host = 2; host <= count; host++)); do
    [[ $(image_ids "host$host") != $(image_ids host1) ]] || continue
    # One archive for all three, so that the layers they share travel once.
    [[ -e $archive ]] || inside host1 docker save "${IMAGES[@]}" >"$archive"
    say "host$host: loading the images"
    inside "host$host" docker load --quiet <"$archive" >/dev/null &
    pids+=($!)
  done
  for pid in "${pids[@]}"; do wait "$pid" || die "loading the images failed"; done
  rm -f "$archive"
}

# The content's hash is kept as a tag, so the same file is imported once per lab.
import_base() {
  local file tag
  file=$("$REPO/scripts/base-image.sh" | tail -n 1)
  [[ -r $file ]] || die "scripts/base-image.sh gave no readable file: '$file'"
  tag=$(sha256sum <"$file")
  tag=$BASE_IMAGE_NAME:${tag:0:12}
  if [[ $(image_id host1 "$tag") == "$(image_id host1 "$BASE_IMAGE_NAME:latest")" ]]; then return; fi
  say "host1: importing the base image"
  inside host1 docker import - "$tag" <"$file" >/dev/null
  inside host1 docker tag "$tag" "$BASE_IMAGE_NAME:latest"
}

# An image that is not there has an id of its own that equals no other's.
image_id() { inside "$1" docker image inspect --format '{{.Id}}' "$2" 2>/dev/null || echo "no $2 on $1"; }

image_ids() {
  local image
  for image in "${IMAGES[@]}"; do image_id "$1" "$image"; done
}

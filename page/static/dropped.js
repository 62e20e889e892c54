// Files of a drop or an input -> [{file, name, folder}], a folder's in the order of their names.

export function ofInput(files) {
  return sorted([...files].map((file) => {
    const name = file.webkitRelativePath || file.name;
    return { file, name, folder: Boolean(file.webkitRelativePath) };
  }));
}

export async function ofDrop(transfer) {
  // Both lists are emptied when this function first waits.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return ofInput(transfer.files);
  const found = [];
  for (const entry of entries) await walk(entry, entry.isDirectory, found);
  return sorted(found);
}

async function walk(entry, folder, found) {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed)).catch(() => null);
    if (file) found.push({ file, name: entry.fullPath.replace(/^\//, ""), folder });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader gives at most 100 at a time
    const some = await new Promise((done, failed) => reader.readEntries(done, failed)).catch(() => []);
    if (!some.length) return;
    for (const each of some) await walk(each, true, found);
  }
}

function sorted(items) {
  const parts = new Map(items.map((item) => [item, item.folder ? item.name.split("/") : []]));
  return items.sort((a, b) => compare(parts.get(a), parts.get(b)));
}

/** By parts, as the script sorts a folder; files that were chosen singly keep their order. */
function compare(one, other) {
  for (let k = 0; k < Math.min(one.length, other.length); k++) {
    if (one[k] !== other[k]) return one[k] < other[k] ? -1 : 1;
  }
  return one.length - other.length;
}

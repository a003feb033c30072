//! The ledger's sparse Merkle tree in machine code, for `local_chains.consortium.state.tree`, which does the same
//! without it. Nodes are immutable Python objects with the same attributes, so trees share what did not change.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use sha2::{Digest, Sha256};

type Hash = [u8; 32];

const EMPTY: Hash = [0; 32];
const LEAF_PREFIX: u8 = 0;
const INNER_PREFIX: u8 = 1;

/// `content` is the hash of the key, that of the value, and the key itself, which neighbours are named by.
#[pyclass(frozen, module = "causeway_native")]
struct LeafNode {
    node_hash: Hash,
    path: Hash,
    content: Py<PyBytes>,
}

/// At least two leaves lie below. None is an empty subtree.
#[pyclass(frozen, module = "causeway_native")]
struct InnerNode {
    node_hash: Hash,
    children: [Option<Node>; 2],
}

enum Node {
    Leaf(Py<LeafNode>),
    Inner(Py<InnerNode>),
}

struct Change {
    path: Hash,
    leaf: Option<Py<LeafNode>>,
}

#[pymethods]
impl LeafNode {
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.node_hash)
    }

    #[getter]
    fn content(&self, py: Python<'_>) -> Py<PyBytes> {
        self.content.clone_ref(py)
    }
}

#[pymethods]
impl InnerNode {
    #[getter]
    fn hash<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.node_hash)
    }

    #[getter]
    fn left(&self, py: Python<'_>) -> Py<PyAny> {
        object(py, self.children[0].as_ref())
    }

    #[getter]
    fn right(&self, py: Python<'_>) -> Py<PyAny> {
        object(py, self.children[1].as_ref())
    }
}

impl Node {
    fn share(&self, py: Python<'_>) -> Node {
        match self {
            Node::Leaf(leaf) => Node::Leaf(leaf.clone_ref(py)),
            Node::Inner(inner) => Node::Inner(inner.clone_ref(py)),
        }
    }

    fn hash(&self) -> &Hash {
        match self {
            Node::Leaf(leaf) => &leaf.get().node_hash,
            Node::Inner(inner) => &inner.get().node_hash,
        }
    }
}

fn object(py: Python<'_>, node: Option<&Node>) -> Py<PyAny> {
    match node {
        None => py.None(),
        Some(Node::Leaf(leaf)) => leaf.clone_ref(py).into_any(),
        Some(Node::Inner(inner)) => inner.clone_ref(py).into_any(),
    }
}

fn node_of(root: &Bound<'_, PyAny>) -> PyResult<Option<Node>> {
    if root.is_none() {
        Ok(None)
    } else if let Ok(inner) = root.cast::<InnerNode>() {
        Ok(Some(Node::Inner(inner.clone().unbind())))
    } else if let Ok(leaf) = root.cast::<LeafNode>() {
        Ok(Some(Node::Leaf(leaf.clone().unbind())))
    } else {
        Err(PyTypeError::new_err(
            "a tree of this module begins with one of its nodes, or None",
        ))
    }
}

fn bit(path: &Hash, depth: usize) -> usize {
    usize::from(path[depth / 8] >> (7 - depth % 8) & 1)
}

fn leaf_of(py: Python<'_>, key: &[u8], value: &[u8]) -> PyResult<(Hash, Py<LeafNode>)> {
    let path: Hash = Sha256::digest(key).into();
    let value_hash: Hash = Sha256::digest(value).into();
    let node_hash: Hash = Sha256::new()
        .chain_update([LEAF_PREFIX])
        .chain_update(path)
        .chain_update(value_hash)
        .finalize()
        .into();
    let content = [&path[..], &value_hash[..], key].concat();
    let content = PyBytes::new(py, &content).unbind();
    Ok((
        path,
        Py::new(
            py,
            LeafNode {
                node_hash,
                path,
                content,
            },
        )?,
    ))
}

/// A subtree that holds a single leaf is that leaf; an empty one is nothing.
fn joined(py: Python<'_>, left: Option<Node>, right: Option<Node>) -> PyResult<Option<Node>> {
    match (&left, &right) {
        (None, None) => return Ok(None),
        (Some(Node::Leaf(_)), None) => return Ok(left),
        (None, Some(Node::Leaf(_))) => return Ok(right),
        _ => {}
    }
    let node_hash: Hash = Sha256::new()
        .chain_update([INNER_PREFIX])
        .chain_update(left.as_ref().map_or(&EMPTY, Node::hash))
        .chain_update(right.as_ref().map_or(&EMPTY, Node::hash))
        .finalize()
        .into();
    let children = [left, right];
    Ok(Some(Node::Inner(Py::new(
        py,
        InnerNode {
            node_hash,
            children,
        },
    )?)))
}

/// `node` after `changes`, which are sorted by path and all lie below it.
fn updated(
    py: Python<'_>,
    node: Option<&Node>,
    changes: &[Change],
    depth: usize,
) -> PyResult<Option<Node>> {
    if changes.is_empty() {
        return Ok(node.map(|one| one.share(py)));
    }
    let Some(Node::Inner(inner)) = node else {
        return replaced(py, node, changes, depth);
    };
    let [left, right] = &inner.get().children;
    let middle = changes.partition_point(|change| bit(&change.path, depth) == 0);
    let (below_left, below_right) = changes.split_at(middle);
    joined(
        py,
        updated(py, left.as_ref(), below_left, depth + 1)?,
        updated(py, right.as_ref(), below_right, depth + 1)?,
    )
}

/// The subtree of `changes` where there was a leaf or nothing.
fn replaced(
    py: Python<'_>,
    node: Option<&Node>,
    changes: &[Change],
    depth: usize,
) -> PyResult<Option<Node>> {
    let mut leaves: Vec<(&Hash, &Py<LeafNode>)> = changes
        .iter()
        .filter_map(|change| change.leaf.as_ref().map(|leaf| (&change.path, leaf)))
        .collect();
    if let Some(Node::Leaf(leaf)) = node {
        let here = &leaf.get().path;
        if changes
            .binary_search_by(|change| change.path.cmp(here))
            .is_err()
        {
            let place = leaves.partition_point(|(path, _)| *path < here);
            leaves.insert(place, (here, leaf));
        }
    }
    built(py, &leaves, depth)
}

/// A subtree of these leaves, sorted by path, and nothing else.
fn built(
    py: Python<'_>,
    leaves: &[(&Hash, &Py<LeafNode>)],
    depth: usize,
) -> PyResult<Option<Node>> {
    if leaves.is_empty() {
        return Ok(None);
    }
    if let [(_, leaf)] = leaves {
        return Ok(Some(Node::Leaf(leaf.clone_ref(py))));
    }
    let middle = leaves.partition_point(|(path, _)| bit(path, depth) == 0);
    let (left, right) = leaves.split_at(middle);
    joined(
        py,
        built(py, left, depth + 1)?,
        built(py, right, depth + 1)?,
    )
}

/// Return the tree after `writes`, a dictionary of keys and values (None deletes).
#[pyfunction]
fn update(
    py: Python<'_>,
    root: &Bound<'_, PyAny>,
    writes: &Bound<'_, PyDict>,
) -> PyResult<Py<PyAny>> {
    let root = node_of(root)?;
    let mut changes = Vec::with_capacity(writes.len());
    for (key, value) in writes {
        let key = key.extract::<&[u8]>()?;
        changes.push(if value.is_none() {
            Change {
                path: Sha256::digest(key).into(),
                leaf: None,
            }
        } else {
            let (path, leaf) = leaf_of(py, key, value.extract::<&[u8]>()?)?;
            Change {
                path,
                leaf: Some(leaf),
            }
        });
    }
    changes.sort_unstable_by_key(|change| change.path);
    Ok(object(
        py,
        updated(py, root.as_ref(), &changes, 0)?.as_ref(),
    ))
}

#[pymodule]
fn causeway_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("INTERFACE", 1)?;
    module.add_class::<LeafNode>()?;
    module.add_class::<InnerNode>()?;
    module.add_function(wrap_pyfunction!(update, module)?)
}

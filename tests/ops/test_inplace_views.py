"""Writing through views: histories, versions, and what is refused."""

from __future__ import annotations

import pytest

from .scripts import agree

pytest.importorskip("torch")
pytestmark = pytest.mark.oracle

WRITES = (
    "x=g.detach().clone().requires_grad_(); x[0]=1; x",
    "x=g.detach().clone().requires_grad_(); x[0].mul_(2)",
    "x=g.detach().clone().requires_grad_(); y=x*1; y[0]=5; y.sum().backward(); (x.grad,y.grad_fn,y[0].grad_fn)",
    "x=g.detach().clone().requires_grad_(); y=x*1; a,b=y.unbind(0); a.mul_(2)",
    "x=g.detach().clone().requires_grad_(); y=x*1; a,b=y.split(1); a.add_(1)",
    "x=g.detach().clone().requires_grad_(); y=x*1; a,b=y.chunk(2); a.add_(1)",
    "x=g.detach().clone().requires_grad_(); y=x*1; a=t.unsafe_split(y,1)[0]; a.add_(1); (y,a)",
    "x=g.detach().clone().requires_grad_(); a,b=x.unbind(0); a.mul_(2)",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.unbind(0); y.mul_(2); y",
    "x=g.detach().clone().requires_grad_(); y=x*1; a,b=y.unbind(0); y.mul_(2); (a,b)",
    "x=g.detach().clone().requires_grad_(); y=x*1; a,b=y.unbind(0); y.mul_(2); a.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); d=x.detach(); d.zero_(); (x,d._version,x._version,d._base is x)",
    "x=g.detach().clone().requires_grad_(); d=x.data; d.zero_(); (x,d._version,x._version,d._base)",
    "x=g.detach().clone().requires_grad_(); y=x*2; z=y*y; y.data.zero_(); z.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*2; z=y*y; y.detach().zero_(); z.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x.exp(); y.add_(1); y.sum().backward()",
    "x=g.detach().clone().requires_grad_(); y=x.exp(); y[0].add_(1); y.sum().backward()",
    "x=g.detach().clone().requires_grad_(); y=x*x; x.data.mul_(2); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x.view(6); y.add_(1)",
    "c=t.ones(3,dtype=t.complex64); c.real.mul_(2); c",
    "c=t.ones(3,dtype=t.complex64); c.imag=t.tensor([1.,2,3]); c",
    "c=t.ones(3,dtype=t.complex64,requires_grad=True); d=c*1; d.real.mul_(2); d.abs().sum().backward(); (c.grad,d.grad_fn)",
    "c=t.ones(3,dtype=t.complex64,requires_grad=True); c.real.mul_(2)",
    "c=t.ones(3,dtype=t.complex64); v=t.view_as_real(c); v[:,1]=3; (c,v._base is c,c._version)",
    "x=g.detach().clone().requires_grad_(); y=x*1; e=y.expand(2,2,3); e.mul_(2)",
    "x=t.ones(1,3); e=x.expand(2,3); e.add_(1)",
    "x=t.ones(1,3); e=x.expand(2,3); e[0]=1; x",
    "x=t.ones(3); x.view(3).unsqueeze_(0).shape",
    "x=g.detach().clone().requires_grad_(); x.t_()",
    "x=t.ones(2,3); v=x[0]; v.unsqueeze_(0); (v._base is x, v.shape)",
    "x=t.ones(2,3); v=x.t(); v.t_(); (v.stride(),v._version,x._version)",
    "x=t.ones(4); x.resize_(2,3).shape",
    "x=t.ones(4); x.resize_(2); (x,x.untyped_storage().nbytes())",
    "x=g.detach().clone().requires_grad_(); x.resize_(3)",
    "x=t.ones(4); v=x[:2]; v.resize_(3); (v,x)",
    "x=t.ones(2,3); x.resize_as_(t.ones(3,2)).shape",
    "x=t.ones(1,2,3,4); x.resize_(1,2,3,4,memory_format=t.channels_last).stride()",
    "x=t.ones(4); x.set_(t.zeros(2)); (x,x._version)",
    "x=t.ones(4); x.set_(); (x.shape,x._version)",
    "x=t.ones(4); y=t.zeros(6); x.set_(y.untyped_storage(),1,(2,2),(2,1)); x[0,0]=5; y",
    "x=t.ones(4); y=t.zeros(6); x.set_(y.untyped_storage()); x.shape",
    "x=t.ones(4); x.set_(t.zeros(2,dtype=t.int64))",
    "x=g.detach().clone().requires_grad_(); x.set_(t.zeros(2))",
    "x=t.ones(4); y=t.zeros(6); x.set_(y,1,(2,)); x.storage_offset()",
    "x=g.detach().clone().requires_grad_(); x.detach_(); x.requires_grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.detach_(); (y.grad_fn,y.requires_grad)",
    "x=g.detach().clone().requires_grad_(); y=(x*1)[0]; y.detach_()",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.requires_grad_(False)",
    "x=g.detach().clone().requires_grad_(); y=x.detach(); y.requires_grad_(); y.is_leaf",
    "x=t.ones(2,dtype=t.int64); x.requires_grad_()",
    "x=t.ones(2,dtype=t.int64); x.requires_grad=True",
    "x=g.detach().clone().requires_grad_(); x.data=t.ones(4); (x.shape,x.requires_grad,x.is_leaf)",
    "x=g.detach().clone().requires_grad_(); x.data=t.ones(4,dtype=t.int64)",
    "x=g.detach().clone().requires_grad_(); x.data=3",
    "x=g.detach().clone().requires_grad_(); x.data=t.ones(2,dtype=t.float64); x.dtype",
    "x=g.detach().clone().requires_grad_(); x.grad=t.ones(2)",
    "x=g.detach().clone().requires_grad_(); x.grad=t.ones(2,3); x.grad=None; x.grad",
    "x=g.detach().clone().requires_grad_(); x.grad=3",
    "x=g.detach().clone().requires_grad_(); x.copy_(t.ones(2,3))",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.copy_(t.ones(3)); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); b=t.ones(2,3); b.copy_(x); (b.grad_fn,b.requires_grad)",
    "x=g.detach().clone().requires_grad_(); b=t.ones(2,3); b[0]=x[0]; b.sum().backward(); (b.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); b=t.ones(2,3,dtype=t.float64); b.copy_(x); b.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); b=t.ones(2,3); b[0].copy_(x[0]); (b.grad_fn,b.requires_grad)",
    "x=g.detach().clone().requires_grad_(); y=x[x>2]; y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x*1; y[y>2]=0; y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.masked_fill_(y>2,7); y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x*1; y[:,0].zero_(); y[:,1].fill_(3); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.index_put_((L([0]),L([1])),L(3.)); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.diagonal().add_(1); y.pow(2).sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.T[0]=0; y.pow(2).sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.as_strided((2,),(1,)).mul_(5); y.pow(2).sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.unfold(1,2,2)[...,0].mul_(5); y.pow(2).sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.view(6)[1:3].mul_(x.view(6)[1:3]); y.pow(2).sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x*1; y.squeeze_(); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x.clone(); v=y.view(-1); y.add_(1); v.sum().backward(); (v.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x*1; v=y[0]; v.retain_grad(); v.mul_(2); y.sum().backward(); v.grad",
    "x=t.ones(3); x+=1; x._version",
    "x=t.ones(3); x.view(3).view(3).add_(1); x._version",
    "x=t.ones(3); y=x.clone(); (y._version,y._base)",
    "x=t.arange(6); x.view(2,3)[0,1]=7; (x,x._version)",
    "x=t.ones(3); x.new_ones(2)._version",
    "x=t.ones(3,requires_grad=True); t.autograd.grad((x[0]*x[1]).sum(),x)",
    "x=g.detach().clone().requires_grad_(); y=x.index_fill(1,L([0]),0.); y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=x.take(L([0,0,5])); y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.put(L([0,5]),L([9.,9.])); y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.masked_select(x>3); y.pow(2).sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.repeat(2,2); (y*t.arange(24.).view(4,6)).sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.gather(1,L([[0,0],[2,1]])); y.pow(2).sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=t.cat([x,x[:1]]); y.pow(2).sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.flip(0); y[0]=0; y.sum().backward(); x.grad",
    "x=g.detach().clone().requires_grad_(); y=t.zeros(2,3).scatter(1,L([[0],[1]]),x); y.sum().backward(); (y.grad_fn,x.grad)",
    "x=g.detach().clone().requires_grad_(); y=x.to(t.float64); y.sum().backward(); (y.grad_fn,x.grad.dtype)",
    "x=g.detach().clone().requires_grad_(); y=x.contiguous(memory_format=t.preserve_format)",
)


@pytest.mark.parametrize("line", WRITES)
def test_writes_as_pytorch(line: str) -> None:
    agree(line)


# A view that is made without grad mode: of a tensor with a history, of one that gets a
# history later, and of a leaf.
VIEWS = (
    "v=g.clone(); n=t.no_grad(); n.__enter__(); w=v.view(6); n.__exit__(None,None,None)",
    "v=t.zeros(6); n=t.no_grad(); n.__enter__(); w=v.view(6); n.__exit__(None,None,None)",
    "v=g; n=t.no_grad(); n.__enter__(); w=v.view(6); n.__exit__(None,None,None)",
)
BETWEEN = ("0", "v.mul_(g.sum())", "w.mul_(g.sum())")
AFTER = (
    "w",
    "w.requires_grad",
    "w.is_leaf",
    "w.grad_fn",
    "w * 2",
    "w.mul_(2)",
    "w.view(2, 3)",
    "w.register_hook(print); 0",
    "w.detach()",
    "n.__enter__(); w.mul_(2); n.__exit__(None,None,None); w",
)


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("view", VIEWS)
def test_view_made_without_grad_mode_as_pytorch(
    view: str, between: str, after: str
) -> None:
    agree(f"{view}; {between}; {after}")
